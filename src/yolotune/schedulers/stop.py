"""The end of a study before its last trial."""

from __future__ import annotations

import time
from collections.abc import Mapping

from yolotune.config.budget import Budget


class Stop:
    """Whether a study ends before its last trial, and why: a signal, its budget, or failure upon failure.

    A budget is a ceiling for the whole study, so what was spent before a resume counts. One in epochs is never passed:
    an epoch that is on its way counts as trained.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        trained: Mapping[int, int] | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Starts the clock.

        Args:
            budget: None for no limit.
            trained: Epochs of before, by trial.
            seconds: Of before.
        """
        self._budget = budget or Budget()
        self._on_the_way: set[int] = set()
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

    def begins(self, number: int) -> None:
        """A trial is to train an epoch."""
        self._on_the_way.add(number)

    def leaves(self, number: int) -> None:
        """A trial trains no further, for good or until it goes on."""
        self._on_the_way.discard(number)

    def reported(self, number: int, epoch: int) -> None:
        """Counts an epoch of a trial, once however often it is reported; the next one `begins` or does not."""
        self._on_the_way.discard(number)
        if epoch > self._trained.get(number, 0):
            self._trained[number] = epoch
            self._epochs += 1

    @property
    def spent(self) -> bool:
        """Whether the budget is."""
        return self._budget.spent(self._epochs + len(self._on_the_way), time.monotonic() - self._began)

    def is_set(self) -> bool:
        return self.signalled or self.failure is not None or self.spent

    @property
    def reason(self) -> str:
        return f"the budget of {self._budget} was spent" if self.spent else "the study was stopped"
