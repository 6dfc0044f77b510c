"""The guide's script with its search: Optuna's TPE from Ultralytics' defaults, ASHA, the plateau stopper, a budget.

ASHA's grace is the guide's share of the epochs (25 of 250); its factor, and the plateau rule, are its numbers. The
study ends with the report that spends the budget.
"""

from __future__ import annotations

import os
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from ray.tune.stopper import CombinedStopper, TrialPlateauStopper

from benchmarks.peers import read_task
from benchmarks.peers.budget import EpochBudget
from benchmarks.peers.guide import train_yolo
from yolotune.config.space import Choice, RandInt, parse_space

#: ASHA's grace as a share of the epochs.
GRACE = 25 / 250


def ray_space(text: dict[str, str]) -> dict[str, Any]:
    """Returns a preset's search space as Ray Tune's."""
    found: dict[str, Any] = {}
    for name, domain in parse_space(text, "space")[0].items():
        if isinstance(domain, Choice):
            found[name] = tune.choice(list(domain.options))
        elif isinstance(domain, RandInt):
            found[name] = tune.randint(domain.low, domain.high)
        else:
            found[name] = (tune.loguniform if domain.log else tune.uniform)(domain.low, domain.high)
    return found


def main() -> None:
    task = read_task()
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    ray.init(num_cpus=1, include_dashboard=False)
    plateau = TrialPlateauStopper("train_seg_metrics/F1", std=0.01, num_results=5, grace_period=10)
    tune.Tuner(
        tune.with_resources(tune.with_parameters(train_yolo, task=task), {"cpu": 1}),
        param_space=ray_space(task["space"]),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(
                metric="metrics/F1(M)", mode="max", points_to_evaluate=task["points"], seed=task["seed"]
            ),
            scheduler=ASHAScheduler(
                time_attr="epoch",
                metric="metrics/F1(M)",
                mode="max",
                max_t=task["epochs"] + 1,
                grace_period=max(1, round(GRACE * task["epochs"])),
                reduction_factor=2,
                brackets=1,
            ),
            num_samples=task["budget"],
            max_concurrent_trials=1,
        ),
        run_config=tune.RunConfig(
            name="ray", storage_path=task["folder"], stop=CombinedStopper(plateau, EpochBudget(task["budget"]))
        ),
    ).fit()


if __name__ == "__main__":
    main()
