"""Ultralytics' own `Tuner` as a search of the bench: its `_mutate` proposes, nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from ultralytics.cfg import get_cfg
from ultralytics.engine import tuner

from yolotune.config.settings import Settings
from yolotune.config.space import Choice, Point, RandInt
from yolotune.record.verdict import Ending
from yolotune.search.optimizer import Suggestion


class Genetic:
    """Searches as `Tuner` does: the defaults, then mutations of the best so far.

    Its genes are numbers: options of a choice stay as in the first point.
    """

    def __init__(self, settings: Settings, points: Sequence[Point], seed: int) -> None:
        """Makes a tuner.

        Args:
            settings: Their ranges are the tuner's.
            points: Tried first.
            seed: Of the mutations, which Ultralytics does not seed.
        """
        self._points = list(points)
        self._folder = TemporaryDirectory()
        self._random = np.random.default_rng(seed)
        self._asked: list[Point] = []
        self._best: dict[int, float] = {}
        self._fixed = {name: points[0][name] for name, domain in settings.domains.items() if isinstance(domain, Choice)}
        self._tuner = object.__new__(tuner.Tuner)
        self._tuner.space = {}
        for name, domain in settings.domains.items():
            if not isinstance(domain, Choice):
                low, high = (domain.low, domain.high - 1) if isinstance(domain, RandInt) else domain.ends()
                gain = (0.3,) if name == "momentum" else ()  # the one gain in Ultralytics' own space
                self._tuner.space[name] = (low, high, *gain)
        self._tuner.args, self._tuner.mongodb, self._tuner.prefix = get_cfg(), None, ""
        self._tuner.tune_file = Path(self._folder.name) / "tune_results.ndjson"

    def ask(self) -> Suggestion:
        number = len(self._asked)
        if number < len(self._points):
            point = self._points[number]
        else:
            seeded = mock.patch.object(tuner.np, "random", SimpleNamespace(default_rng=lambda: self._random))
            with seeded:
                point = {**self._fixed, **self._tuner._mutate()}
        self._asked.append(point)
        return Suggestion(number, point)

    def report(self, number: int, epoch: int, value: Any) -> None:
        """Notes the best epoch; the tuner asks nobody before a training has ended."""
        self._best[number] = max(value, self._best.get(number, 0.0))

    def tell(self, number: int, ending: Ending) -> None:
        """Writes a result where the tuner reads it; its fitness is the best epoch's, as that of a `best.pt`."""
        genes = {name: self._asked[number][name] for name in self._tuner.space}
        line = {"fitness": self._best[number], "hyperparameters": genes}
        with self._tuner.tune_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
