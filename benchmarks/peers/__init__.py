"""Other ways to train and to search, for `cost/overhead.py` and `search/live.py`: each script reads a task file."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

#: Folder in which `benchmarks` is found.
ROOT = Path(__file__).parents[2]


def read_task() -> dict[str, Any]:
    """Returns what to train, from the file that the command line names.

    Its keys: `data`, `model`, `epochs`, `fixed` (Ultralytics arguments of all trainings), `points` (those that vary),
    `slots` (trainings at a time), `folder` (where everything goes) and `device` (`cpu`, or the card).
    """
    return {"device": "cpu", **json.loads(Path(sys.argv[1]).read_text())}


def gpu_share(task: dict[str, Any]) -> float:
    """Returns the part of the card that each training is given."""
    return 0.0 if task["device"] == "cpu" else 1 / task["slots"]


def arguments(task: dict[str, Any]) -> dict[str, Any]:
    """Returns the Ultralytics arguments that all trainings share."""
    common = {"data": task["data"], "epochs": task["epochs"], "device": task["device"], "patience": 0, "exist_ok": True}
    return {**common, **task["fixed"]}


def given_points(task: dict[str, Any]) -> dict[str, Any]:
    """Returns a Ray Tune space of the values that the points have; a searcher is given the points themselves."""
    from ray import tune

    values = {name: [point[name] for point in task["points"]] for name in task["points"][0]}
    return {name: tune.choice(list(dict.fromkeys(found))) for name, found in values.items()}


def environment(work: Path, *, raytune: bool) -> dict[str, str]:
    """Returns the environment in which a peer is started: no network, W&B offline, this folder in reach.

    Args:
        work: Where its settings folder of Ultralytics is made.
        raytune: Whether Ultralytics' integration of Ray Tune is on.
    """
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "YOLO_OFFLINE": "1",
        "YOLO_CONFIG_DIR": str(_settings_folder(work, raytune=raytune)),
        "WANDB_MODE": "offline",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    }


def _settings_folder(work: Path, *, raytune: bool) -> Path:
    """Returns a settings folder of Ultralytics without integrations, or with that of Ray Tune."""
    from yolotune.config.isolation import INTEGRATIONS, isolate

    folder = work / f"settings-{raytune}" / "Ultralytics"
    if not folder.exists():
        shutil.copytree(isolate(), folder)
        settings = json.loads((folder / "settings.json").read_text())
        settings |= {**dict.fromkeys(INTEGRATIONS, False), "raytune": raytune}
        (folder / "settings.json").write_text(json.dumps(settings))
    return folder.parent
