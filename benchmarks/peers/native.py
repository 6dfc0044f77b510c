"""Ultralytics' own `Tuner`, its mutation replaced by the given points; it trains one at a time."""

from __future__ import annotations

from typing import Any

from ultralytics import YOLO
from ultralytics.engine.tuner import Tuner

from benchmarks.peers import arguments, read_task


def main() -> None:
    task = read_task()
    left = iter(task["points"])
    Tuner._mutate = lambda self, *args, **kwargs: dict(next(left))  # type: ignore[method-assign]
    names = [name for name, value in task["points"][0].items() if not isinstance(value, str)]
    space: dict[str, Any] = dict.fromkeys(names, (0.0, 1000000.0))
    settings = {**arguments(task), "plots": False, "project": task["folder"], "name": "tune"}
    YOLO(task["model"]).tune(iterations=len(task["points"]), space=space, **settings)


if __name__ == "__main__":
    main()
