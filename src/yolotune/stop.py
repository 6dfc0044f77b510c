"""The end of a study before its last trial."""

from __future__ import annotations

import time


class Stop:
    """Whether a study ends before its last trial, and why: a signal, its time, or failure upon failure."""

    def __init__(self, seconds: float | None = None) -> None:
        """Starts the clock.

        Args:
            seconds: Time of the study; None for no limit.
        """
        self._deadline = time.monotonic() + seconds if seconds else None
        self.signalled = False
        self.failure: str | None = None

    def signal(self) -> None:
        self.signalled = True

    def fail(self, reason: str) -> None:
        """Ends the study as failed; the first reason is the one that counts."""
        self.failure = self.failure or reason

    @property
    def out_of_time(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def is_set(self) -> bool:
        return self.signalled or self.failure is not None or self.out_of_time

    @property
    def reason(self) -> str:
        return "the time of the study was over" if self.out_of_time else "the study was stopped"
