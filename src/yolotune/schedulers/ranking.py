"""How trials that stand at the same rung are ranked: by the objective, or by it and the training losses.

The training losses of a trial, each divided by its own gain, tell its fate earlier than a validation score that starts
near zero, or that starts high because the weights are good already. Idea: Ru et al., "Speedy Performance Estimation for
Neural Architecture Search", NeurIPS 2021. What it is worth, and where not: docs/search.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from yolotune.metrics import is_finite

#: Training losses of an epoch report, and the hyperparameter that Ultralytics multiplies each by
#: (ultralytics/utils/loss.py: masks are weighed by `box` too).
GAINS = {"train/box": "box", "train/seg": "box", "train/cls": "cls", "train/dfl": "dfl"}

#: How a trial stands at a rung: its objective, then further signals. Of each, higher is better.
Standing = tuple[float, ...]


def losses(row: Mapping[str, Any], point: Mapping[str, Any]) -> Standing:
    """Returns the training losses of an epoch as signals, each divided by its gain and negated.

    Args:
        row: The epoch report.
        point: The trial's hyperparameters; a gain that is not among them is the same in all trials.

    Returns:
        One signal per loss, -inf for one that is no number; nothing if the report lacks a loss.
    """
    if not GAINS.keys() <= row.keys():
        return ()
    gains = {loss: float(point.get(gain) or 1.0) for loss, gain in GAINS.items()}
    return tuple(-float(row[loss]) / gain if is_finite(row[loss]) else -math.inf for loss, gain in gains.items())


def all_have_signals(standings: Mapping[int, Standing]) -> bool:
    """Whether all trials of a rung have signals to be ranked by, beside their objective."""
    return min(map(len, standings.values()), default=0) > 1


def scores(standings: Mapping[int, Standing]) -> dict[int, float]:
    """Returns a score for each trial of a rung, by number; higher is better.

    With signals: the mean over all of them of the share of the other trials that the trial is ahead of, 0..1; equals
    share. Where some trial has nothing but its objective, the objective itself, for all.
    """
    if not all_have_signals(standings):
        return {number: standing[0] for number, standing in standings.items()}
    table = np.array(list(standings.values()))  # (trials, signals)
    shares = np.zeros(len(table))
    for column in table.T:
        ordered = np.sort(column)
        below, up_to = np.searchsorted(ordered, column), np.searchsorted(ordered, column, side="right")
        shares += (below + up_to - 1) / 2
    return dict(zip(standings, (shares / table.shape[1] / max(1, len(table) - 1)).tolist(), strict=True))
