"""Recorded curves for the replay bench: reading a table, splitting it in two, and a surrogate for points not in it.

A table comes from `record_curves.py`: one training per line, every epoch report under the record's names.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from yolotune.signals import GAINS
from yolotune.space import Choice, Domain, Point, RandInt, Space, Uniform

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


def _near(distances: np.ndarray, width: float) -> np.ndarray:
    """Returns kernel weights by squared distance, each row's sum 1; the nearest always weighs something."""
    logits = -distances / (2 * width**2)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def explained(truth: np.ndarray, said: np.ndarray) -> float:
    """Returns R²: 1 is exact, 0 no better than the mean."""
    return float(1 - ((truth - said) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's correlation, ties broken by order."""
    return float(np.corrcoef(np.argsort(np.argsort(one)), np.argsort(np.argsort(other)))[0, 1])


class Surrogate:
    """Foretells the whole curve of any point of the space from recorded ones, and gives it real noise.

    Kernel regression (Nadaraya-Watson) on encoded hyperparameters predicts the principal components of the curves: F1
    of both splits and the logarithm of the training losses by their gains. A hyperparameter weighs in the distance as
    much as it explains of the final level by itself, leave-one-out; the width is that of the least leave-one-out
    error. To the prediction is added the residual curve of a recorded neighbour, drawn by point and seed. A residual
    holds seed noise and whatever the surrogate could not explain, so the made studies are noisier than real ones.
    """

    COMPONENTS = 6
    NEIGHBOURS = 10
    WIDTHS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)

    def __init__(self, curves: Sequence[Curve], space: Space) -> None:
        """Fits the surrogate.

        Args:
            curves: Recorded trainings, all of the same length.
            space: The space they were drawn from.
        """
        self._space = space
        self._curves = list(curves)
        self._epochs = len(curves[0].rows)
        self._x = np.array([self._encoded(curve.point) for curve in curves])
        flat = np.array([self._flat(curve) for curve in curves])
        self._mean = flat.mean(axis=0)
        parts = np.split(flat - self._mean, len(KEPT), axis=1)
        self._scale = np.repeat([part.std() + 1e-9 for part in parts], self._epochs)
        _, _, basis = np.linalg.svd((flat - self._mean) / self._scale, full_matrices=False)
        self._basis = basis[: self.COMPONENTS]
        self._scores = (flat - self._mean) / self._scale @ self._basis.T
        levels = np.array([level(curve) for curve in curves])
        self._weights = np.array([max(0.0, self._alone(column, levels)) for column in self._x.T])
        apart = self._distances(self._x)
        np.fill_diagonal(apart, np.inf)
        self._width = min(self.WIDTHS, key=lambda w: float(((_near(apart, w) @ levels - levels) ** 2).sum()))
        self._residuals = flat - self._unfold(_near(apart, self._width) @ self._scores)

    def _encoded(self, point: Point) -> list[float]:
        return [encode(point[name], domain) for name, domain in self._space.items() if len(set(domain.ends())) > 1]

    @staticmethod
    def _flat(curve: Curve) -> np.ndarray:
        """Returns a curve as one vector, losses by their gains, in logarithms."""
        parts = [[row[F1] for row in curve.rows], [row[TRAIN_F1] for row in curve.rows]]
        for loss, gain in GAINS.items():
            by = float(curve.point.get(gain, 1.0))
            parts.append([math.log(max(row[loss], 1e-6) / by) for row in curve.rows])
        return np.array(parts).ravel()

    @staticmethod
    def _alone(column: np.ndarray, levels: np.ndarray) -> float:
        """Returns what one hyperparameter explains of the final level by itself, leave-one-out R²."""
        apart = (column[:, None] - column[None, :]) ** 2
        np.fill_diagonal(apart, np.inf)
        return explained(levels, _near(apart, 0.08) @ levels)

    def _distances(self, x: np.ndarray) -> np.ndarray:
        return np.asarray((((x[:, None, :] - self._x[None, :, :]) ** 2) * self._weights).sum(axis=2))

    def _unfold(self, scores: np.ndarray) -> np.ndarray:
        return scores @ self._basis * self._scale + self._mean

    def level(self, point: Point) -> float:
        """Returns the foretold F1 of the last epochs, without noise."""
        flat = self._unfold(_near(self._distances(np.array([self._encoded(point)])), self._width) @ self._scores)[0]
        return float(np.clip(flat[self._epochs - LAST : self._epochs], 0, 1).mean())

    def source(self, seed: int) -> Source:
        """Returns what trains points; a point always gives the same curve for the same seed."""

        def train(point: Point) -> Curve:
            apart = self._distances(np.array([self._encoded(point)]))
            flat = self._unfold(_near(apart, self._width) @ self._scores)[0]
            digest = hashlib.sha256(json.dumps([seed, point], sort_keys=True).encode()).digest()
            draw = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            near = np.argsort(apart[0])[: self.NEIGHBOURS]
            donor = int(draw.choice(near))
            return self._curve(point, flat + self._residuals[donor], self._curves[donor])

        return train

    def _curve(self, point: Point, flat: np.ndarray, donor: Curve) -> Curve:
        parts = dict(zip(KEPT, np.split(flat, len(KEPT)), strict=True))
        for name in (F1, TRAIN_F1):
            parts[name] = np.clip(parts[name], 0, 1)
        for loss, gain in GAINS.items():
            parts[loss] = np.exp(parts[loss]) * (float(point.get(gain, 1.0)))
        rows = (
            {"epoch": epoch + 1, "seconds": donor.rows[epoch]["seconds"]}
            | {name: float(values[epoch]) for name, values in parts.items()}
            for epoch in range(self._epochs)
        )
        return Curve(point, tuple(rows))

    @cached_property
    def heaviest(self) -> list[tuple[str, float]]:
        """The hyperparameters that weigh most in the distance, with their weights."""
        names = [name for name, domain in self._space.items() if len(set(domain.ends())) > 1]
        return sorted(zip(names, self._weights.tolist(), strict=True), key=lambda item: -item[1])[:3]


def level(curve: Curve) -> float:
    """Returns the mean F1 of the last epochs of a training."""
    return float(np.mean([row[F1] for row in curve.rows[-LAST:]]))


def late_noise(curves: Iterable[Curve]) -> float:
    """Returns how much F1 varies from one late epoch to the next: standard deviation, median of those that learned."""
    tails = (np.diff([row[F1] for row in curve.rows[-2 * LAST :]]) for curve in curves if curve.best > 0.25)
    return float(np.median([tail.std() / math.sqrt(2) for tail in tails]))


def held_out(curves: Sequence[Curve], space: Space, folds: int = 10) -> tuple[float, float, float]:
    """Returns how well the surrogate foretells final levels: R², rank correlation, the latter within the better half.

    Args:
        curves: Recorded trainings.
        space: The space they were drawn from.
        folds: Parts; each is foretold by a surrogate fitted to the others.
    """
    order = np.random.default_rng(0).permutation(len(curves))
    said = np.zeros(len(curves))
    for fold in range(folds):
        out = set(order[fold::folds].tolist())
        fitted = Surrogate([curve for place, curve in enumerate(curves) if place not in out], space)
        for place in out:
            said[place] = fitted.level(curves[place].point)
    truth = np.array([level(curve) for curve in curves])
    top = truth >= np.median(truth)
    return explained(truth, said), rank_correlation(truth, said), rank_correlation(truth[top], said[top])
