"""The end of a study before its last trial."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from yolotune.config.budget import Budget
from yolotune.record.study import trial_folder
from yolotune.record.verdict import Ending, Verdict

#: The study ends when its first trials, this many, fail with the same words.
SAME_FAILURES = 3


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

    @contextmanager
    def disk_checked(self, folder: Path) -> Iterator[None]:
        """Ends the study at once if the record cannot be written.

        No trial is told to train on then, so none counts a checkpoint whose epoch is not in the record.

        Args:
            folder: Of the study.
        """
        try:
            yield
        except OSError as error:
            free = shutil.disk_usage(folder).free
            what = f"{error.filename or folder}: {error.strerror} ({free / 2**20:.1f} MB free)."
            self.fail(f"{what} Every epoch before is kept: free some space, then resume the study.")
            raise

    @property
    def reason(self) -> str:
        """Why trials are interrupted, in words."""
        return f"the budget of {self._budget} was spent" if self.spent else "the study was stopped"


class FirstFailures:
    """Ends the study when its first trials all fail for the same reason: the next ones would too.

    Args:
        stop: Is told.
        folder: Of the study.
    """

    def __init__(self, stop: StudyStop, folder: Path) -> None:
        self._stop = stop
        self._folder = folder
        self._reasons: list[str] | None = []

    def ended(self, number: int, ending: Ending) -> None:
        """A trial has ended."""
        if self._reasons is None or ending.verdict is not Verdict.FAILED:
            self._reasons = None  # one has worked, so the study as such does
            return
        self._reasons.append(ending.reason)
        if self._reasons == [ending.reason] * SAME_FAILURES:
            log = trial_folder(self._folder, number) / "error.txt"
            trace = log.read_text(encoding="utf-8") if log.exists() else ""
            self._stop.fail(f"the first {SAME_FAILURES} trials failed alike: {ending.reason}\n{trace}".rstrip())
