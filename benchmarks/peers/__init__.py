"""Other ways to run the same trainings, for `overhead.py`: each module is a script that reads one task file."""

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
