"""What a study says as it runs, a line per event: in a pipe, in a notebook, and above the live view."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.display.formats import STYLES, clock, resume_command, short
from yolotune.display.tables import plan_lines
from yolotune.metrics import is_finite
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending
from yolotune.report.formatting import plural
from yolotune.report.tally import Tally
from yolotune.tuner.events import Listener
from yolotune.tuner.plan import Plan
from yolotune.tuner.slots import Change

#: Seconds between two lines about epochs, at least; of longer epochs each is a line.
BETWEEN_S = 30.0


class Lines(Listener):
    """Prints events as lines, coloured on a terminal and plain elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        """Prints nothing before the study starts.

        Args:
            console: Where to; standard output unless given.
        """
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._resume = ""
        self._settings: Settings | None = None
        self._last_epoch = -math.inf

    def study_started(self, folder: Path, plan: Plan) -> None:
        self._settings = plan.settings
        self._resume = resume_command(folder, plan.origin)
        for line in plan_lines(plan):
            self._print(line)
        self._print(f"Study in {escape(str(short(folder)))}. Ctrl-C ends it in good order, to be resumed.")

    def trials_recorded(self, trials: Sequence[TrialRecord]) -> None:
        if not trials or self._settings is None:
            return
        tally = Tally(self._settings)
        for trial in trials:
            tally.recorded(trial, running=False)
        summary = tally.summary()
        left = "" if summary.seconds_left is None else f"; at their pace about {clock(summary.seconds_left)} left"
        begun = f"{plural(summary.ended, 'trial')} ended, {summary.unfinished} to continue"
        self._print(f"So far  {begun}, {summary.epochs_trained:,} epochs{left}")

    def trial_started(self, number: int, point: Point) -> None:
        self._trial(number, "[dim]starts[/]")

    def epoch_reported(self, number: int, row: dict[str, Any]) -> None:
        now = time.monotonic()
        if self._settings is not None and now - self._last_epoch >= BETWEEN_S:
            self._last_epoch = now
            value = row.get(self._settings.metric)
            shown = f"{value:.4f}" if is_finite(value) else "no value"
            epoch = f"epoch {row['epoch']} of {self._settings.epochs}"
            self._trial(number, f"[dim]{epoch}, {escape(self._settings.objective)} {shown}[/]")

    def trial_paused(self, number: int) -> None:
        self._trial(number, "[dim]paused until its batch is complete[/]")

    def trial_resumed(self, number: int) -> None:
        self._trial(number, "[dim]continues[/]")

    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None:
        objective, reason = "", ending.reason
        if self._settings is not None:
            objective = self._settings.objective
            reason = reason.replace(self._settings.metric, objective)  # one name for it in a line
        shown = "no value" if value is None else f"{escape(objective)} {value:.4f}"
        mark = " [bold]best so far[/]" if best and value else ""  # of scores that are all 0 none is best
        verdict = f"[{STYLES.get(ending.verdict, 'red')}]{ending.verdict:<11}[/]"
        self._trial(number, f"{verdict} {shown}{mark} [dim]({escape(reason)})[/]")

    def slots_changed(self, change: Change) -> None:
        trials = "1 trial" if change.open == 1 else f"{change.open} trials"
        self._print(f"{clock(time.monotonic() - self._began)} {trials} at a time [dim]({escape(change.why)})[/]")

    def interrupted(self) -> None:
        self._print("Stopping: running trials leave after this epoch. Once more Ctrl-C stops at once.")
        self._print(escape(f"Resume:  {self._resume}"))

    def report_written(self, path: Path) -> None:
        self.note(f"Report:  {short(path)}")

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _trial(self, number: int, text: str) -> None:
        self._print(f"{clock(time.monotonic() - self._began)} trial {number:>3} {text}")

    def _print(self, line: str) -> None:
        self._console.print(line)
