"""Ultralytics' `YOLO.tune(use_ray=True)` as it ships: its space, Optuna's multivariate TPE, ASHA 10/3; and a budget.

It decides by box mAP50-95, its own metric, which cannot be chosen, and its searcher has no seed that could be given.
"""

from __future__ import annotations

import os
from typing import Any

import ray
from ray import tune
from ultralytics import YOLO
from ultralytics.utils import NUM_THREADS

from benchmarks.peers import arguments, read_task
from benchmarks.peers.budget import EpochBudget


def main() -> None:
    task = read_task()
    os.chdir(task["folder"])
    ray.init(num_cpus=NUM_THREADS, include_dashboard=False)

    class Budgeted(tune.RunConfig):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given, stop=EpochBudget(task["budget"]))

    tune.RunConfig = Budgeted  # type: ignore[misc]  # `run_ray_tune` has no argument for what ends a study
    settings = {**arguments(task), "plots": False, "project": task["folder"], "name": "tune"}
    YOLO(task["model"]).tune(use_ray=True, iterations=task["budget"], **settings)


if __name__ == "__main__":
    main()
