"""Other ways to train and to search, for `overhead.py` and `live.py`: each script reads a task file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def read_task() -> dict[str, Any]:
    """Returns what to train, from the file that the command line names.

    Its keys: `data`, `model`, `epochs`, `fixed` (Ultralytics arguments of all trainings), `points` (those that vary),
    `slots` (trainings at a time) and `folder` (where everything goes).
    """
    return dict(json.loads(Path(sys.argv[1]).read_text()))


def arguments(task: dict[str, Any]) -> dict[str, Any]:
    """Returns the Ultralytics arguments that all trainings share."""
    common = {"data": task["data"], "epochs": task["epochs"], "device": "cpu", "patience": 0, "exist_ok": True}
    return {**common, **task["fixed"]}


def given_points(task: dict[str, Any]) -> dict[str, Any]:
    """Returns a Ray Tune space of the values that the points have; a searcher is given the points themselves."""
    from ray import tune

    values = {name: [point[name] for point in task["points"]] for name in task["points"][0]}
    return {name: tune.choice(list(dict.fromkeys(found))) for name, found in values.items()}
