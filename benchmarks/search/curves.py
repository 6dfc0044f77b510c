"""Recorded curves for the replay bench: reading a table and splitting it in two.

A table comes from `record_curves.py`: one training per line, every epoch report under the record's names.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yolotune.config.space import Choice, Domain, Point, RandInt, Uniform
from yolotune.schedulers.ranking import GAINS

F1 = "seg_metrics/F1"
TRAIN_F1 = "train_seg_metrics/F1"
KEPT = (F1, TRAIN_F1, *GAINS)
#: The level that a training ends at: the mean F1 of its last epochs, which is less noisy than its best epoch.
LAST = 4

Row = dict[str, float]


@dataclass(frozen=True)
class Curve:
    """One training: its point and one report per epoch, with `epoch` from 1 and `seconds`."""

    point: Point
    rows: tuple[Row, ...]

    @property
    def best(self) -> float:
        """The value of the trial if nothing stops it: F1 of the best epoch, 0..1."""
        return max(row[F1] for row in self.rows)


#: What trains a point: the reports that it would give.
Source = Callable[[Point], Curve]


def key(point: Point) -> frozenset[tuple[str, Any]]:
    return frozenset(point.items())


def read_table(path: Path) -> tuple[dict[str, Any], list[Curve]]:
    """Reads a table: what it says of itself, and its curves.

    An epoch that took more than three times the training's median (a machine that slept) counts three medians.
    """
    with gzip.open(path, "rt") as file:
        about, *points = (json.loads(line) for line in file)
    curves = []
    for told in points:
        limit = 3 * float(np.median([row["seconds"] for row in told["epochs"]]))
        rows = ({"epoch": row["epoch"], "seconds": min(row["seconds"], limit)} | {n: row[n] for n in KEPT}
                for row in told["epochs"])  # fmt: skip
        curves.append(Curve(told["point"], tuple(rows)))
    return about, curves


def half_of(point: Point) -> int:
    """Returns 0 or 1, by a hash of the point, so that it stays the same however a table grows."""
    return hashlib.sha256(json.dumps(point, sort_keys=True).encode()).digest()[0] % 2


def halves(curves: Iterable[Curve]) -> tuple[list[Curve], list[Curve]]:
    """Returns the half that strategies are chosen on, and the half that they are reported on."""
    split: tuple[list[Curve], list[Curve]] = ([], [])
    for curve in curves:
        split[half_of(curve.point)].append(curve)
    return split


def lookup(curves: Iterable[Curve]) -> Source:
    """Returns the source that knows these curves and no others."""
    known = {key(curve.point): curve for curve in curves}
    return lambda point: known[key(point)]


def encode(value: Any, domain: Domain) -> float:
    """Returns a hyperparameter's place in its range, 0..1; logarithmic where the range is, options by their order."""
    if isinstance(domain, Choice):
        return domain.options.index(value) / max(1, len(domain.options) - 1)
    low, high = (domain.low, domain.high - 1) if isinstance(domain, RandInt) else (domain.low, domain.high)
    if isinstance(domain, Uniform) and domain.log:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def explained(truth: np.ndarray, said: np.ndarray) -> float:
    """Returns R²: 1 is exact, 0 no better than the mean."""
    return float(1 - ((truth - said) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's correlation, ties broken by order."""
    return float(np.corrcoef(np.argsort(np.argsort(one)), np.argsort(np.argsort(other)))[0, 1])


def level(curve: Curve) -> float:
    """Returns the mean F1 of the last epochs of a training."""
    return float(np.mean([row[F1] for row in curve.rows[-LAST:]]))


def late_noise(curves: Iterable[Curve]) -> float:
    """Returns how much F1 varies from one late epoch to the next: standard deviation, median of those that learned."""
    tails = (np.diff([row[F1] for row in curve.rows[-2 * LAST :]]) for curve in curves if curve.best > 0.25)
    return float(np.median([tail.std() / math.sqrt(2) for tail in tails]))
