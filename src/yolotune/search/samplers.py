"""Samplers by name: what `search` takes, and how another one is added.

A factory gets a seed and returns an Optuna sampler. One is made for each trial, seeded by the study and the number of
the trial, so that a resumed study suggests what an uninterrupted one would have:

    register_sampler("cmaes", lambda seed: optuna.samplers.CmaEsSampler(seed=seed))
"""

from __future__ import annotations

from collections.abc import Callable

from optuna.samplers import BaseSampler, BruteForceSampler, GPSampler, GridSampler, RandomSampler, TPESampler

from yolotune.errors import did_you_mean, fail
from yolotune.search.pruned_trials import WithPrunedTrials

#: Trials before a sampler starts to model, initial points among them (Optuna's default).
STARTUP_TRIALS = 10

SamplerFactory = Callable[[int], BaseSampler]
_FACTORIES: dict[str, SamplerFactory] = {}


def register_sampler(name: str, factory: SamplerFactory) -> None:
    """Makes a sampler known under a name that `search` then takes; a name that is known already is replaced.

    Args:
        name: Of the sampler.
        factory: Makes it from a seed.
    """
    _FACTORIES[name] = factory


def sampler_names() -> list[str]:
    """Returns the names that `search` takes."""
    return list(_FACTORIES)


def make_sampler(name: str, seed: int) -> BaseSampler:
    """Returns a sampler by its name.

    Args:
        name: One of `sampler_names`.
        seed: Of its random numbers.

    Raises:
        UserError: No sampler is registered under the name.
    """
    if name not in _FACTORIES:
        what = f"no sampler is called {name!r}.{did_you_mean(name, _FACTORIES)}"
        raise fail("search", what, f"use one of {', '.join(_FACTORIES)}, or register it first.")
    return _FACTORIES[name](seed)


def checked_sampler(given: object) -> BaseSampler:
    """Returns a sampler that was given as an object.

    Raises:
        UserError: It is no sampler, or one that works in Optuna's own loop only.
    """
    if isinstance(given, (GridSampler, BruteForceSampler)):  # they end the loop with `Study.stop`, and there is none
        what = f"{type(given).__name__} works in Optuna's own `optimize` only."
        raise fail("sampler", what, "use search='grid' and grid_search([...]) in the space.")
    if not isinstance(given, BaseSampler):
        raise fail("sampler", f"got {given!r}, expected an Optuna sampler.", "give an object such as TPESampler().")
    return given


def _tpe(seed: int) -> BaseSampler:
    """Optuna puts pruned trials behind those that ended, ordered by how far they came."""
    return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=False)  # Optuna 5's default is True


def _multivariate_tpe(seed: int) -> BaseSampler:
    return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True)


def _gaussian_process(seed: int) -> BaseSampler:
    gp = GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False)
    return WithPrunedTrials(gp)


def _random(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


register_sampler("auto", _tpe)  # where `choose_sampler` has not decided
register_sampler("tpe", _tpe)
register_sampler("tpe-multivariate", _multivariate_tpe)
register_sampler("gp", _gaussian_process)
register_sampler("random", _random)
register_sampler("grid", _random)  # never draws: the optimizer lists all points of the grid
