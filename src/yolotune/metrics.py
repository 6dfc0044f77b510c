"""Names and arithmetic of metrics: pure, no heavy imports.

Users and Ultralytics say `metrics/F1(M)`; the record, Ray, Optuna and W&B say `seg_metrics/F1`, as the guide does. Both
are accepted wherever a metric is named; `canonical` turns the first into the second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from yolotune.errors import did_you_mean, fail

#: The guide's short names, by Ultralytics' own.
SHORT = {"F1": "F1", "precision": "precision", "recall": "recall", "mAP50-95": "map50_95", "mAP50": "map50"}
#: The guide's groups: masks and boxes on the validation split, the same on the training split.
GROUPS = ("seg_metrics", "box_metrics", "train_seg_metrics", "train_box_metrics")
SUFFIX = {"(M)": "seg_metrics", "(B)": "box_metrics"}
LOSSES = ("box", "seg", "cls", "dfl")

SCORES = tuple(f"{group}/{short}" for group in GROUPS for short in SHORT.values())
VAL_LOSSES = tuple(f"val/{loss}_loss" for loss in LOSSES)
TRAIN_LOSSES = tuple(f"train/{loss}" for loss in LOSSES)

DEFAULT_OBJECTIVE = "metrics/F1(M)"
#: In front of the name of a function that computes an objective from an epoch report.
COMPUTED = "objective/"

#: Overfitting by the gap between train F1 and val F1; the guide's examples are 3 %, 15 % and 35 %, these lie between.
LEVELS = ("good", "warning", "severe")
WARNING_GAP, SEVERE_GAP = 0.10, 0.25
#: Below this F1 a model finds next to nothing.
LEAST_F1 = 0.02

_ALIASES = {
    f"metrics/{name}{suffix}": f"{group}/{short}" for suffix, group in SUFFIX.items() for name, short in SHORT.items()
}


def canonical(name: str) -> str:
    """Returns the record's name of a metric: `metrics/mAP50-95(M)` is `seg_metrics/map50_95`."""
    return _ALIASES.get(name, name)


def checked(name: str, setting: str) -> str:
    """Returns the record's name of a metric that trials report.

    Args:
        name: As the user wrote it.
        setting: The setting it came from, for the message.

    Raises:
        UserError: No trial ever reports such a metric.
    """
    known = (*SCORES, *VAL_LOSSES, *TRAIN_LOSSES)
    found = canonical(name)
    if found not in known and not found.startswith(COMPUTED):
        raise fail(
            setting,
            f"no trial reports {name!r}.{did_you_mean(name, (*_ALIASES, *known))}",
            f"use one of {', '.join((*_ALIASES, *known))}.",
        )
    return found


def best_direction(name: str) -> str:
    """Returns `min` for losses, and `max` for scores and for what a function computes."""
    return "max" if canonical(name) in SCORES or name.startswith(COMPUTED) else "min"


def on_training_split(name: str) -> str | None:
    """Returns the record's name of the same metric on the training split; None if there is none, or it is that."""
    known = canonical(name)
    if known in VAL_LOSSES:
        return TRAIN_LOSSES[VAL_LOSSES.index(known)]
    return f"train_{known}" if f"train_{known}" in SCORES else None


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a reported value is a number that decisions may rest on."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def better(value: float, than: float | None, mode: str) -> bool:
    """Whether `value` beats `than` in direction `mode`; anything beats nothing."""
    if than is None:
        return True
    return value > than if mode == "max" else value < than


def mean_f1(per_class: Any) -> float:
    """Returns F1 as yolotune defines it: the mean over classes of the F1 at the operating point.

    Ultralytics gives one F1 per class that has labels in the split, all at the confidence that maximises the smoothed
    mean F1 (`ultralytics/utils/metrics.py: ap_per_class`). The harmonic mean of mean precision and mean recall, often
    called F1, is larger, most of all when a class has collapsed: there precision counts as 1.

    Args:
        per_class: F1 per class, shape `(classes with labels,)`, 0..1; empty where nothing was found or labelled.

    Returns:
        0..1; 0.0 for an empty array.
    """
    values = [float(value) for value in per_class]
    return sum(values) / len(values) if values else 0.0


def evaluation(metric: Any, group: str) -> dict[str, float]:
    """Returns the guide's five numbers of one Ultralytics `Metric` (masks or boxes).

    Args:
        metric: `ultralytics.utils.metrics.Metric`, after a validation.
        group: One of `GROUPS`.
    """
    values = {
        "F1": mean_f1(metric.f1),
        "precision": float(metric.mp),
        "recall": float(metric.mr),
        "map50_95": float(metric.map),
        "map50": float(metric.map50),
    }
    return {f"{group}/{name}": round(value, 5) for name, value in values.items()}


def best_epoch(epochs: Sequence[Mapping[str, Any]], objective: str, mode: str) -> tuple[int, float] | None:
    """Returns epoch (from 1) and value of the best finite report; None without one.

    Of equals the last: Ultralytics writes `best.pt` again at every epoch whose fitness equals the best so far
    (`BaseTrainer.save_model`), so the last one is in it.
    """
    best: tuple[int, float] | None = None
    for row in epochs:
        value = row.get(objective)
        if is_finite(value) and (best is None or not better(best[1], float(value), mode)):
            best = int(row["epoch"]), float(value)
    return best


def overfitting_level(gap: float) -> str:
    """Returns the guide's word for a gap between train F1 and val F1."""
    return LEVELS[(gap >= WARNING_GAP) + (gap >= SEVERE_GAP)]


def overfitting(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns `overfitting/gap` and `overfitting/level` (0, 1 or 2) of an epoch report.

    Nothing without both F1, and nothing where both are below `LEAST_F1`: who has learned nothing does not overfit.
    """
    train, val = row.get("train_seg_metrics/F1"), row.get("seg_metrics/F1")
    if is_finite(train) and is_finite(val) and max(train, val) >= LEAST_F1:
        gap = round(train - val, 5)
        return {"overfitting/gap": gap, "overfitting/level": LEVELS.index(overfitting_level(gap))}
    return {}
