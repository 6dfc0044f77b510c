"""No tracking: runs that do nothing. A tracker that needs only some of the methods inherits the others from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings
from yolotune.tracking.base import StudyRun, TrackingContext, TrialResult, TrialRun, TrialSummary

DISABLED = "disabled"


class NullTrialRun:
    """A `TrialRun` that does nothing."""

    def log_epoch(self, row: Mapping[str, Any]) -> None: ...
    def pause(self) -> None: ...
    def finish(self, result: TrialResult) -> None: ...


class NullStudyRun:
    """A `StudyRun` that does nothing."""

    def trial_ended(self, summary: TrialSummary, *, log: bool = True) -> None: ...
    def finish(self, best_number: int | None, best_yaml: Path | None, *, failed: bool = False) -> None: ...


@dataclass(frozen=True)
class NullTracker:
    """A `Tracker` that does nothing."""

    mode: str = DISABLED

    @classmethod
    def preflight(cls, settings: Settings) -> tuple[str, str | None]:
        """Returns `disabled`, whatever the settings say."""
        return DISABLED, None

    @classmethod
    def create(cls, context: TrackingContext) -> NullTracker:
        """Returns a tracker of any study."""
        return cls()

    def open_trial(self, number: int, config: Mapping[str, Any]) -> TrialRun:
        """Opens no run."""
        return NullTrialRun()

    def open_study(self, config: Mapping[str, Any], direction: str) -> StudyRun:
        """Opens no run."""
        return NullStudyRun()

    def notes(self) -> list[str]:
        """Returns nothing to tell."""
        return []
