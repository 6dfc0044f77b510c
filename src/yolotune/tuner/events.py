"""Who is told what happens in a study, as it happens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune.config.space import Point
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending

if TYPE_CHECKING:
    from yolotune.tuner.plan import Plan
    from yolotune.tuner.slots import Change


class Listener:
    """Is told what happens, in the driver's thread; this one does nothing. Override what you want to hear."""

    def study_started(self, folder: Path, plan: Plan) -> None: ...
    def trials_recorded(
        self, trials: Sequence[TrialRecord]
    ) -> None: ...  # of a study that is resumed, before its first
    def trial_started(self, number: int, point: Point) -> None: ...
    def epoch_reported(self, number: int, row: dict[str, Any]) -> None: ...
    def trial_paused(self, number: int) -> None: ...
    def trial_resumed(self, number: int) -> None: ...  # after a pause
    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None: ...
    def slots_changed(self, change: Change) -> None: ...  # how many trials train at a time from now on
    def interrupted(self) -> None: ...
    def report_written(self, path: Path) -> None: ...
    def note(self, text: str) -> None: ...
