"""The end of a study before its last trial."""

from __future__ import annotations

import time
from collections.abc import Mapping

from yolotune.budget import Budget


class Stop:
    """Whether a study ends before its last trial, and why: a signal, its budget, or failure upon failure.

    A budget is a ceiling for the whole study, so what was spent before a resume counts.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        slots: int = 1,
        trained: Mapping[int, int] | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Starts the clock.

        Args:
            budget: None for no limit.
            slots: Trials at the same time.
            trained: Epochs of before, by trial.
            seconds: Of before.
        """
        self._budget = budget or Budget()
        self._slots = slots
        self._began = time.monotonic() - seconds
        self._trained = dict(trained or {})
        self._epochs = sum(self._trained.values())
        self.signalled = False
        self.failure: str | None = None

    def signal(self) -> None:
        self.signalled = True

    def fail(self, reason: str) -> None:
        """Ends the study as failed; the first reason is the one that counts."""
        self.failure = self.failure or reason

    def reported(self, number: int, epoch: int) -> None:
        """Counts an epoch of a trial, once however often it is reported."""
        if epoch > self._trained.get(number, 0):
            self._trained[number] = epoch
            self._epochs += 1

    @property
    def spent(self) -> bool:
        """Whether the budget is."""
        return self._budget.spent(self._epochs, time.monotonic() - self._began, self._slots)

    def is_set(self) -> bool:
        return self.signalled or self.failure is not None or self.spent

    @property
    def reason(self) -> str:
        return f"the budget of {self._budget} was spent" if self.spent else "the study was stopped"
