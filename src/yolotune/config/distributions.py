"""Optuna's form of a space, for the search and for the report."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from yolotune.config.space import Domain, RandInt, Uniform


def distribution(domain: Domain) -> BaseDistribution:
    """Returns Optuna's form of a distribution."""
    if isinstance(domain, Uniform):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, RandInt):
        return IntDistribution(domain.low, domain.high - 1)
    return CategoricalDistribution(domain.options)
