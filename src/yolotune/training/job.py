"""What one training is told, and the process it runs in; light enough to be sent to every trial.

Ultralytics reads a settings file of the user's and switches on whatever tracker it finds installed; a trial must do
neither. `isolate` points it at a private settings folder before it is imported.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from yolotune.config.space import Point

#: Ultralytics' integrations (`ultralytics/utils/__init__.py: SettingsManager`); none may act inside a trial.
INTEGRATIONS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "sync")


class Order(Enum):
    """What a training is told after an epoch."""

    GO = "go"
    STOP = "stop"  # it has ended: evaluate best.pt, draw the curves
    LEAVE = "leave"  # it goes on another time: keep last.pt as it is, and leave at once


@dataclass(frozen=True)
class Job:
    """What all trainings of a study have in common.

    Attributes:
        model: Absolute path of weights (.pt), or the name of an architecture (.yaml).
        data: The resolved data.yaml: absolute paths only.
        epochs: Length of a training that nothing stops.
        fixed: Ultralytics arguments beside the point.
        metric: The objective by the record's name; `best.pt` follows it.
        mode: `max` or `min`.
        indexes: Label index by split (`dataset.build_index`).
        train_subset: Text file that lists the training images on which the train metrics are measured; None for none.
        device: `cpu` or a CUDA index as the trial's process sees it.
        threads: CPU threads of one trial.
        workers: Data loader processes of one trial; Ultralytics uses none on a CPU.
        keep_last: Whether last.pt stays beside best.pt when the training has ended.
    """

    model: str
    data: Path
    epochs: int
    fixed: dict[str, Any] = field(default_factory=dict)
    metric: str = "seg_metrics/F1"
    mode: str = "max"
    indexes: dict[str, Path] = field(default_factory=dict)
    train_subset: Path | None = None
    device: str = "cpu"
    threads: int = 1
    workers: int = 0
    keep_last: bool = False

    def arguments(self, point: Point, folder: Path) -> dict[str, Any]:
        """Returns the Ultralytics arguments of one training, in a folder of its own."""
        return {
            "patience": 0,  # the study's own rules stop a trial; 0 switches Ultralytics' off
            "workers": self.workers,
            **self.fixed,
            **point,
            "task": "segment",
            "mode": "train",
            "model": self.model,
            "data": str(self.data),
            "epochs": self.epochs,
            "device": self.device,
            "save_dir": str(folder / "curves"),
            "save": True,
            "val": True,
        }


def isolate() -> Path:
    """Prepares this process for importing Ultralytics, and returns its private settings folder.

    No network, no installing, no code from pickles, no integration, and the user's settings file stays untouched; only
    their folders (`datasets_dir`, `weights_dir`) are taken over.
    """
    os.environ["YOLO_OFFLINE"] = "1"
    os.environ["YOLO_AUTOINSTALL"] = "0"
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"
    os.environ.setdefault("YOLO_VERBOSE", "0")
    # OpenMP threads that wait spin by default; with more threads than free cores that made epochs 40 times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    user = user_settings_folder()
    private = Path(tempfile.gettempdir()) / f"yolotune-{os.getuid()}"
    folder = private / "Ultralytics"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user != folder or not (folder / "settings.json").exists():
        _write_settings(folder / "settings.json", user / "settings.json")
        _provide_font(folder / "Arial.ttf", user / "Arial.ttf")
    os.environ["YOLO_CONFIG_DIR"] = str(private)
    return folder


def user_settings_folder() -> Path:
    """Returns where Ultralytics keeps the user's settings (`ultralytics/utils/__init__.py: get_user_config_dir`)."""
    given = os.environ.get("YOLO_CONFIG_DIR") or os.environ.get("XDG_CONFIG_HOME")
    return (Path(given).expanduser() if given else Path.home() / ".config") / "Ultralytics"


def _write_settings(private: Path, users: Path) -> None:
    """Writes a complete settings file, so that Ultralytics has no reason to write one itself."""
    try:
        kept = json.loads(users.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    base = Path.cwd()
    settings = {
        "settings_version": "0.0.8",
        "datasets_dir": str(kept.get("datasets_dir", base / "datasets")),
        "weights_dir": str(kept.get("weights_dir", base / "weights")),
        "runs_dir": str(base / "runs"),
        "uuid": "0" * 64,
        "api_key": "",
        "openai_api_key": "",
        "vscode_msg": False,
        "openvino_msg": False,
        **dict.fromkeys(INTEGRATIONS, False),
    }
    temporary = private.with_name(f".{private.name}.{os.getpid()}")
    temporary.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    os.replace(temporary, private)


def _provide_font(private: Path, users: Path) -> None:
    """Puts a font where Ultralytics looks for Arial, which it would otherwise try to download for every plot."""
    if private.exists():
        return
    import matplotlib

    shipped = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    shutil.copyfile(users if users.exists() else shipped, private)
