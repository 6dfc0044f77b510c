"""The guide's script, written plainly: Ray Tune around `YOLO.train`, with its train metrics, curves and W&B.

As in the guide: F1 from precision and recall, the train split measured after each epoch, one W&B run a trial with the
losses, both splits, best.pt and the curves. Left out, so that all peers train the same epochs: Optuna's suggestions,
ASHA and the plateau stopper.
"""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator

from benchmarks.peers import arguments, given_points, gpu_share, read_task

NAMES = {"precision": "precision", "recall": "recall", "map50": "mAP50", "map50_95": "mAP50-95"}


def scores(metrics: dict[str, float], prefix: str = "") -> dict[str, float]:
    """Returns the guide's numbers of one split."""
    found: dict[str, float] = {}
    for group, kind in (("seg_metrics", "M"), ("box_metrics", "B")):
        values = {name: metrics[f"metrics/{theirs}({kind})"] for name, theirs in NAMES.items()}
        p, r = values["precision"], values["recall"]
        values["F1"] = 2 * p * r / (p + r) if p + r else 0.0
        found |= {f"{prefix}{group}/{name}": value for name, value in values.items()}
    return found


def train_yolo(config: dict[str, Any], task: dict[str, Any]) -> None:
    """Trains one point; Ray calls it in a process of its own."""
    import wandb
    from ultralytics import YOLO
    from ultralytics.models.yolo.segment import SegmentationValidator

    trial = tune.get_context().get_trial_id()
    run = wandb.init(project="overhead", name=trial, config=config, dir=task["folder"], mode="offline")
    losses: dict[str, float] = {}

    def on_train_epoch_end(trainer: Any) -> None:
        losses.update(trainer.label_loss_items(trainer.tloss, prefix="train"))

    def on_fit_epoch_end(trainer: Any) -> None:
        if trainer.epoch >= trainer.epochs:
            return  # the final evaluation
        settings = {"data": task["data"], "split": "train", "imgsz": trainer.args.imgsz, "plots": False}
        validator = SegmentationValidator(
            args={**settings, "task": "segment", "batch": trainer.args.batch, "device": task["device"]},
            save_dir=trainer.save_dir / "train-split",
        )
        on_train = validator(model=deepcopy(trainer.ema.ema))
        row = {**scores(trainer.metrics), **scores(on_train, "train_"), **losses, "epoch": trainer.epoch + 1}
        row |= {name: value for name, value in trainer.metrics.items() if name.startswith("val/")}
        run.log(row)
        tune.report({**row, "metrics/F1(M)": row["seg_metrics/F1"]})

    model = YOLO(task["model"])
    model.add_callback("on_train_epoch_end", on_train_epoch_end)
    model.add_callback("on_fit_epoch_end", on_fit_epoch_end)
    model.train(**{**arguments(task), **config, "project": task["folder"], "name": f"training-{trial}"})
    folder = Path(model.trainer.save_dir)
    artifact = wandb.Artifact(name=f"best_model_trial_{run.id}", type="model")
    artifact.add_file(str(folder / "weights" / "best.pt"), name="best.pt")
    run.log_artifact(artifact)
    for file in [*folder.glob("*curve.png"), *folder.glob("confusion*.png"), folder / "results.png"]:
        run.log({f"curves/{file.stem}": wandb.Image(str(file))})
    run.finish()


def main() -> None:
    task = read_task()
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    ray.init(num_cpus=task["slots"], include_dashboard=False)
    tune.Tuner(
        tune.with_resources(tune.with_parameters(train_yolo, task=task), {"cpu": 1, "gpu": gpu_share(task)}),
        param_space=given_points(task),
        tune_config=tune.TuneConfig(
            search_alg=BasicVariantGenerator(points_to_evaluate=task["points"]),
            num_samples=len(task["points"]),
            metric="metrics/F1(M)",
            mode="max",
        ),
        run_config=tune.RunConfig(name="ray", storage_path=task["folder"]),
    ).fit()


if __name__ == "__main__":
    main()
