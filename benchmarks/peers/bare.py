"""The floor: Ultralytics trainings one after another in one process, with nothing around them."""

from __future__ import annotations

from ultralytics import YOLO

from benchmarks.peers import arguments, read_task


def main() -> None:
    task = read_task()
    for number, point in enumerate(task["points"]):
        settings = {**arguments(task), **point, "plots": False}
        YOLO(task["model"]).train(**settings, project=task["folder"], name=f"training-{number}")


if __name__ == "__main__":
    main()
