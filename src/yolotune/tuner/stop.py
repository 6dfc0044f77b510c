"""The end of a study before its last trial."""

from __future__ import annotations

import time
from collections.abc import Mapping

from yolotune.config.budget import Budget


class StudyStop:
    """Whether a study ends before its last trial, and why: a signal, its budget, or trial after trial that fails.

    A budget limits the whole study, so what was spent before a resume counts. One in epochs is never exceeded: an epoch
    that is being trained counts as trained.
    """

    def __init__(
        self, budget: Budget | None = None, *, trained: Mapping[int, int] | None = None, seconds: float = 0.0
    ) -> None:
        """Starts the clock.

        Args:
            budget: None for no limit.
            trained: Epochs recorded before, by trial.
            seconds: Worked before.
        """
        self._budget = budget or Budget()
        self._training: set[int] = set()
        self._began = time.monotonic() - seconds
        self._trained = dict(trained or {})
        self._epochs = sum(self._trained.values())
        self.signalled = False
        self.failure: str | None = None

    def signal(self) -> None:
        """Ctrl-C or SIGTERM was received."""
        self.signalled = True

    def fail(self, reason: str) -> None:
        """Ends the study as failed; the first reason is the one that counts."""
        self.failure = self.failure or reason

    def epoch_begins(self, number: int) -> None:
        """A trial is about to train an epoch."""
        self._training.add(number)

    def trial_leaves(self, number: int) -> None:
        """A trial trains no further, for good or until it is resumed."""
        self._training.discard(number)

    def epoch_ends(self, number: int, epoch: int) -> None:
        """Counts an epoch of a trial, once however often it is reported."""
        self._training.discard(number)
        if epoch > self._trained.get(number, 0):
            self._trained[number] = epoch
            self._epochs += 1

    @property
    def spent(self) -> bool:
        """Whether the budget is."""
        return self._budget.spent(self._epochs + len(self._training), time.monotonic() - self._began)

    def is_set(self) -> bool:
        """Whether no further epoch may begin."""
        return self.signalled or self.failure is not None or self.spent

    @property
    def reason(self) -> str:
        """Why trials are interrupted, in words."""
        return f"the budget of {self._budget} was spent" if self.spent else "the study was stopped"
