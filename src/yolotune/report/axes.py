"""Hyperparameters as axes: where a value stands in its distribution, and what a hover label says about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from yolotune.config.space import Choice, Domain, Uniform
from yolotune.record.study import TrialRecord
from yolotune.report.formatting import literal, number, value_text
from yolotune.report.trials import verdict_of


def axis(name: str, domain: Domain) -> dict[str, Any]:
    """Returns Plotly's axis of a hyperparameter: logarithmic or in categories where its distribution is."""
    if isinstance(domain, Choice):
        order = [literal(value_text(option)) for option in domain.options]
        return {"title": name, "type": "category", "categoryorder": "array", "categoryarray": order}
    if isinstance(domain, Uniform) and domain.log:
        decades = domain.high / domain.low > 100
        return {"title": name, "type": "log", "tickformat": "~g", "dtick": 1 if decades else "D2"}
    return {"title": name, "nticks": 6}


def on_axis(trial: TrialRecord, name: str, domain: Domain) -> Any:
    """Returns a trial's value as `axis` takes it: the options of a choice as texts."""
    value = trial.point[name]
    return literal(value_text(value)) if isinstance(domain, Choice) else value


def position(value: Any, domain: Domain) -> float:
    """Returns where a value lies between the ends of its distribution, 0..1."""
    if isinstance(domain, Choice):
        places = max(len(domain.options) - 1, 1)
        return next((at for at, option in enumerate(domain.options) if option == value), 0) / places
    low, high = (float(end) for end in domain.ends())
    if isinstance(domain, Uniform) and domain.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (float(value) - low) / (high - low) if high > low else 0.0


def point_hover(trial: TrialRecord, names: Sequence[str]) -> str:
    """Returns verdict, value and the named hyperparameters of a trial, for its hover label."""
    lines = [f"{literal(name)} {literal(value_text(trial.point[name]))}" for name in names]
    return "<br>".join([f"trial {trial.number}, {verdict_of(trial)}: {number(trial.value)}", *lines])
