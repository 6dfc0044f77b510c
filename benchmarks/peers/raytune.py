"""Ultralytics' `YOLO.tune(use_ray=True)` over the given points; its ASHA stops nothing before the last epoch."""

from __future__ import annotations

import os

import ray
from ray.tune.search.basic_variant import BasicVariantGenerator
from ultralytics import YOLO
from ultralytics.utils import NUM_THREADS

from benchmarks.peers import arguments, given_points, gpu_share, read_task


def main() -> None:
    task = read_task()
    os.chdir(task["folder"])
    # it asks for NUM_THREADS cores a trial, so the number of cores is what decides how many train at a time
    ray.init(num_cpus=NUM_THREADS * task["slots"], include_dashboard=False)
    YOLO(task["model"]).tune(
        use_ray=True,
        space=given_points(task),
        search_alg=BasicVariantGenerator(points_to_evaluate=task["points"]),
        iterations=len(task["points"]),
        gpu_per_trial=gpu_share(task) or None,
        grace_period=task["epochs"],
        **{**arguments(task), "plots": False, "project": task["folder"], "name": "tune"},
    )


if __name__ == "__main__":
    main()
