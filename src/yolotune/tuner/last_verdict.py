"""Tells that no trial is to come, while the last ones still end in good order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from yolotune.tuner.conductor import Conductor


class LastVerdict(Callback):
    """Calls a function once, in the driver's thread, as soon as every trial has its verdict.

    Args:
        conductor: Knows when that is.
        told: The function; it returns at once.
    """

    def __init__(self, conductor: Conductor, told: Callable[[], None]) -> None:
        self._conductor = conductor
        self._told: Callable[[], None] | None = told

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._told is not None and self._conductor.over:
            told, self._told = self._told, None
            told()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it for a restore that never happens
