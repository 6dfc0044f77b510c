"""A budget of epochs for searches that know none."""

from __future__ import annotations

from typing import Any

from ray.tune import Stopper


class EpochBudget(Stopper):
    """Ends a study with the report that spends its epochs."""

    def __init__(self, epochs: int) -> None:
        self._left = epochs

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self._left -= 1
        return self._left <= 0

    def stop_all(self) -> bool:
        return self._left <= 0
