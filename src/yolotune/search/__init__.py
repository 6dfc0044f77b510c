"""What to try next: Optuna's ask and tell, filled from the record of a study. Plain code without Ray.

A sampler is added with `register_sampler`; initial points of earlier studies come from `warm_points`.
"""

from __future__ import annotations

from optuna.samplers import BaseSampler as Sampler

from yolotune.search.conversion import to_optuna
from yolotune.search.optimizer import Optimizer, Suggestion
from yolotune.search.samplers import make_sampler, register_sampler, sampler_names
from yolotune.search.warm_start import Here, Warm, choose_sampler, warm_points

__all__ = [
    "Here",
    "Optimizer",
    "Sampler",
    "Suggestion",
    "Warm",
    "choose_sampler",
    "make_sampler",
    "register_sampler",
    "sampler_names",
    "to_optuna",
    "warm_points",
]
