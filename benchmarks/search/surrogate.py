"""Curves of points that were not recorded: a Gaussian process over the recorded ones."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.search.curves import F1, KEPT, LAST, TRAIN_F1, Curve, Source, encode, explained, level, rank_correlation
from yolotune.config.space import Point, Space
from yolotune.schedulers.ranking import GAINS


class Process:
    """A Gaussian process with a squared exponential kernel that learns how much each input matters.

    Its inverse length scales have an exponential prior, so that inputs that explain nothing get none. Fitted by
    maximising the posterior density with L-BFGS (Rasmussen and Williams, 2006, chapter 5).
    """

    STARTS = (0.5, 1.5)

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        """Fits the process.

        Args:
            x: Inputs, each 0..1, shape (n, d).
            y: Outputs, shape (n,).
        """
        self._mean, self._scale = float(y.mean()), float(y.std()) + 1e-12
        self._x, target = torch.tensor(x), torch.tensor((y - y.mean()) / self._scale)
        apart = (self._x[:, None] - self._x[None]) ** 2
        fits = [self._fit(apart, target, start) for start in self.STARTS]
        self._logs = min(fits, key=lambda fit: fit[0])[1]
        inverse = torch.linalg.inv(self._covariance(apart, self._logs))
        self._alpha = inverse @ target
        #: What the process misses at each input if it has not seen it, shape (n,).
        self.left_out = (self._alpha / torch.diagonal(inverse)).numpy() * self._scale

    @classmethod
    def _fit(cls, apart: Tensor, target: Tensor, start: float) -> tuple[float, Tensor]:
        logs = torch.tensor([math.log(start)] * apart.shape[2] + [0.0, math.log(0.1)], dtype=torch.float64)
        logs.requires_grad_()
        search = torch.optim.LBFGS([logs], max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            search.zero_grad()
            factor = torch.linalg.cholesky(cls._covariance(apart, logs))
            fit = target @ torch.cholesky_solve(target[:, None], factor)[:, 0] / 2
            prior = torch.exp(-logs[:-2]).sum() + (logs[-2] - 0.5) ** 2 / 4 + (logs[-1] + 2) ** 2 / 20
            loss: Tensor = fit + torch.log(torch.diagonal(factor)).sum() + prior
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        search.step(closure)  # type: ignore[no-untyped-call]
        return float(closure().detach()), logs.detach()

    @staticmethod
    def _kernel(apart: Tensor, logs: Tensor) -> Tensor:
        return torch.exp(logs[-2] - (apart * torch.exp(-2 * logs[:-2])).sum(-1) / 2)

    @classmethod
    def _covariance(cls, apart: Tensor, logs: Tensor) -> Tensor:
        return cls._kernel(apart, logs) + (torch.exp(logs[-1]) + 1e-4) * torch.eye(len(apart), dtype=torch.float64)

    @property
    def matters(self) -> np.ndarray:
        """The inverse length scale of each input: 0 says nothing, shape (d,)."""
        return np.asarray(torch.exp(-self._logs[:-2]).numpy())

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns the mean at inputs of shape (m, d)."""
        apart = (torch.tensor(x)[:, None] - self._x[None]) ** 2
        return np.asarray((self._kernel(apart, self._logs) @ self._alpha).numpy()) * self._scale + self._mean


class Surrogate:
    """Foretells the whole curve of any point of the space from recorded ones, and gives it real noise.

    One `Process` each foretells a principal component of the curves: F1 of both splits and the logarithm of the
    training losses by their gains. To that is added what the processes miss of a recorded neighbour that they have not
    seen, drawn by point and seed. Neighbours whose level they miss by more than two trainings of one point differ (by
    up to 0.07 over three seeds, "Confirming a search" in RESULTS.md) show an error of the surrogate and lend nothing.
    """

    COMPONENTS = 6
    NEIGHBOURS = 10
    #: Of the F1 of the last epochs: the most that counts as noise.
    NOISE = 0.05

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
        scores = (flat - self._mean) / self._scale @ self._basis.T
        self._processes = [Process(self._x, column) for column in scores.T]
        unseen = scores - np.column_stack([process.left_out for process in self._processes])
        self._residuals = flat - self._unfold(unseen)
        missed = self._residuals[:, self._epochs - LAST : self._epochs].mean(axis=1)
        self._donors = np.flatnonzero(np.abs(missed) <= self.NOISE)
        self._matters = Process(self._x, np.array([level(curve) for curve in curves])).matters

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

    def _unfold(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(scores @ self._basis * self._scale + self._mean)

    def _foretold(self, points: Sequence[Point]) -> np.ndarray:
        x = np.array([self._encoded(point) for point in points])
        return self._unfold(np.column_stack([process(x) for process in self._processes]))

    def quiet(self, points: Sequence[Point]) -> np.ndarray:
        """Returns the foretold F1 of each epoch without noise, shape (points, epochs)."""
        return np.asarray(np.clip(self._foretold(points)[:, : self._epochs], 0, 1))

    def level(self, point: Point) -> float:
        """Returns the foretold F1 of the last epochs, without noise."""
        return float(self.quiet([point])[0, -LAST:].mean())

    def source(self, seed: int) -> Source:
        """Returns what trains points; a point always gives the same curve for the same seed."""

        def train(point: Point) -> Curve:
            x = self._x[self._donors]
            apart = (((np.array(self._encoded(point)) - x) * self._matters) ** 2).sum(axis=1)
            digest = hashlib.sha256(json.dumps([seed, point], sort_keys=True).encode()).digest()
            draw = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            donor = int(self._donors[draw.choice(np.argsort(apart)[: self.NEIGHBOURS])])
            return self._curve(point, self._foretold([point])[0] + self._residuals[donor], self._curves[donor])

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

    @property
    def heaviest(self) -> list[tuple[str, float]]:
        """The hyperparameters that matter most to the final level, with their inverse length scales."""
        names = [name for name, domain in self._space.items() if len(set(domain.ends())) > 1]
        return sorted(zip(names, self._matters.tolist(), strict=True), key=lambda item: -item[1])[:5]


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
