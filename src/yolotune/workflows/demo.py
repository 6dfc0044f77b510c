"""The study of `yolotune demo`: the whole loop on made shapes, small enough for two CPU cores and a few minutes."""

from __future__ import annotations

from pathlib import Path

from yolotune.config.layers import make_settings
from yolotune.config.settings import Settings
from yolotune.data.shapes import make_shapes

#: Only what matters in 25 epochs of 12 steps from random weights; mosaic and flips would need longer.
SPACE = {
    "lr0": "loguniform(5e-4, 2e-2)",
    "lrf": "uniform(0.01, 1.0)",
    "momentum": "uniform(0.8, 0.98)",
    "weight_decay": "uniform(0.0, 0.005)",
    "box": "uniform(5.0, 8.0)",
    "cls": "uniform(0.3, 3.0)",
    "translate": "uniform(0.0, 0.25)",
    "scale": "uniform(0.0, 0.5)",
    "batch": "choice([8, 16])",
}


def demo_settings(folder: Path) -> Settings:
    """Makes the dataset of shapes and returns the settings of the demo's study on it.

    Args:
        folder: The dataset goes to `folder/shapes`, the study to `folder/study`.
    """
    folder = folder.resolve()
    return make_settings(
        data=str(make_shapes(folder / "shapes", train=96, val=32, size=64, per_image=2)),
        model="yolo11n-seg.yaml",
        project=str(folder),
        epochs=24,
        imgsz=64,
        num_samples=8,
        concurrent=2,
        device="cpu",
        space=SPACE,
        train={"optimizer": "AdamW", "nbs": 16, "mosaic": 0.0, "warmup_epochs": 1, "warmup_bias_lr": 0.0},
        scheduler={"name": "asha", "grace_period": 0.2, "reduction_factor": 2, "rank": "signals"},
    )
