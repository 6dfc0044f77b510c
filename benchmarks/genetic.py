"""Ultralytics' own `Tuner` as a searcher of the bench: its `_mutate` proposes, nothing is trained."""

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


class Genetic:
    """Searches as `Tuner` does: the defaults, then mutations of the best so far.

    Its genes are numbers: options of a choice stay as in the first point.
    """

    def __init__(self, study: Settings, points: Sequence[Point], seed: int) -> None:
        """Makes a tuner.

        Args:
            study: The study; its ranges are the tuner's.
            points: Tried first.
            seed: Of the mutations, which Ultralytics does not seed.
        """
        self._points = list(points)
        self._folder = TemporaryDirectory()
        self._random = np.random.default_rng(seed)
        self._told: dict[str, Point] = {}
        self._fixed = {name: points[0][name] for name, domain in study.domains.items() if isinstance(domain, Choice)}
        self._tuner = object.__new__(tuner.Tuner)
        self._tuner.space = {}
        for name, domain in study.domains.items():
            if not isinstance(domain, Choice):
                low, high = (domain.low, domain.high - 1) if isinstance(domain, RandInt) else domain.ends()
                gain = (0.3,) if name == "momentum" else ()  # the one gain in Ultralytics' own space
                self._tuner.space[name] = (low, high, *gain)
        self._tuner.args, self._tuner.mongodb, self._tuner.prefix = get_cfg(), None, ""
        self._tuner.tune_file = Path(self._folder.name) / "tune_results.ndjson"

    def suggest(self, trial_id: str) -> dict[str, Any]:
        number = len(self._told)
        if number < len(self._points):
            point = self._points[number]
        else:
            seeded = mock.patch.object(tuner.np, "random", SimpleNamespace(default_rng=lambda: self._random))
            with seeded:
                point = {**self._fixed, **self._tuner._mutate()}
        self._told[trial_id] = point
        return {"number": number, "point": point}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """The tuner asks nobody before a training has ended."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any]) -> None:
        """Writes a result where the tuner reads it; its fitness is the best epoch's, as that of a `best.pt`."""
        genes = {name: self._told[trial_id][name] for name in self._tuner.space}
        line = {"fitness": result["best"], "hyperparameters": genes}
        with self._tuner.tune_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
