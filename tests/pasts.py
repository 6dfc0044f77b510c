"""Studies that have ended, as the history finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolotune.history import history_file
from yolotune.record import Ending, Verdict
from yolotune.recorder import Record
from yolotune.similarity import Task
from yolotune.space import Point
from yolotune.study import Study

SPACE = {"lr0": "loguniform(1e-5, 0.1)", "batch": "choice([8, 16])"}
DATASET: dict[str, Any] = {
    "yaml": "/secret/place/data.yaml",
    "fingerprint": "fish",
    "images": {"train": 400, "val": 200},
    "instances": {"train": 2000, "val": 1200},
    "areas": [0.01, 0.04, 0.2],
    "side": 800.0,
    "names": {"0": "cod", "1": "eel"},
}
ENVIRONMENT = {"dataset": DATASET, "model": {"name": "/weights/yolo11n-seg.pt", "sha256": "aa"}}
TRIALS: list[tuple[Point, float, Verdict]] = [
    ({"lr0": 0.001, "batch": 16}, 0.2, Verdict.COMPLETED),
    ({"lr0": 0.002, "batch": 16}, 0.5, Verdict.COMPLETED),
    ({"lr0": 0.003, "batch": 8}, 0.9, Verdict.DIVERGED),
    ({"lr0": 0.004, "batch": 8}, 0.6, Verdict.PRUNED),
    ({"lr0": 0.009, "batch": 8}, 0.1, Verdict.COMPLETED),
]


TASK = Task(
    "fish", 400, 5.0, (0.01, 0.04, 0.2), 800.0, ("cod", "eel"), 2, "yolo11n-seg.pt", "aa", 640, 20, "metrics/F1(M)"
)


def ended(folder: Path, uid: str = "u1", trials: list[Any] = TRIALS, about: Any = ENVIRONMENT, **given: Any) -> Path:
    """Writes a study that has ended, and returns its folder."""
    study = Study(**{"data": "d.yaml", "epochs": 20, "name": folder.name, "space": SPACE, **given})
    record = Record(folder, metric=study.metric, mode=study.direction, uid=uid)
    record.create(study.model_dump(), about)
    for number, (point, value, verdict) in enumerate(trials):
        record.start(number, point)
        record.append(number, {"epoch": 1, study.metric: value})
        record.end(number, Ending(verdict, "for the test"), {})
    return folder


def keep(content: bytes | str) -> Path:
    path = history_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
