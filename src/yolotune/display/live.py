"""The live view of a study on a terminal.

A thread of its own draws. Telling the view something is an entry in a queue, so neither a slow terminal nor a signal
handler that prints in the middle of a line holds up the study.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live

from yolotune.config.space import Point
from yolotune.display.formats import clock
from yolotune.display.lines import Lines
from yolotune.display.picture import Picture, time_left
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending
from yolotune.record.worked_time import seconds_worked
from yolotune.report.tally import Tally
from yolotune.tuner.events import Listener
from yolotune.tuner.plan import Plan
from yolotune.tuner.slots import Change

#: Seconds between two pictures.
REFRESH_S = 0.25
#: Seconds that the end of a study waits for a terminal that takes no output.
LAST_PICTURE_S = 5.0


@contextlib.contextmanager
def checking() -> Iterator[None]:
    """Shows on a terminal that a study is being checked; the first look at ten thousand images takes 20 seconds."""
    console = Console(stderr=True)
    if not (sys.stderr.isatty() and console.is_interactive):
        yield
        return
    with console.status("[dim]Looking at the dataset and the settings[/]", spinner="line"):  # of ASCII alone
        yield


@contextlib.contextmanager
def watching() -> Iterator[Listener]:
    """Yields a listener that shows a study: live on a terminal, as lines elsewhere."""
    console = Console(highlight=False, soft_wrap=True, force_jupyter=False)  # text; not a block of HTML a line
    if not (sys.stdout.isatty() and console.is_interactive):  # rich takes FORCE_COLOR in a pipe for a terminal
        yield Lines(console)
        return
    with contextlib.ExitStack() as before:
        before.enter_context(checking())
        view = LiveView(console, on_start=before.close)
        try:
            yield view
        finally:
            before.close()
            view.close()


class LiveView(Listener):
    """Draws running trials and where the study is at the bottom of the terminal; lines scroll by above."""

    def __init__(self, console: Console, on_start: Callable[[], None] = lambda: None) -> None:
        """Draws nothing before the study starts.

        Args:
            console: A terminal.
            on_start: Called when the study starts, before anything is drawn.
        """
        self._console = console
        self._on_start = on_start
        self._lines = Lines(console)
        self._told: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="live view", daemon=True)
        self._tally: Tally | None = None
        self._metric = ""
        self._began = time.monotonic()
        self._budget: float | None = None

    def study_started(self, folder: Path, plan: Plan) -> None:
        self._on_start()
        settings = plan.settings
        self._metric, self._tally = settings.objective, Tally(settings)
        seconds = settings.cost_limit.seconds
        if seconds is not None:
            self._budget = max(0.0, seconds - seconds_worked(folder))
        self._told.put(lambda: self._lines.study_started(folder, plan))
        self._thread.start()

    def trials_recorded(self, trials: Sequence[TrialRecord]) -> None:
        self._told.put(lambda: self._lines.trials_recorded(trials))
        for trial in trials:
            self._count(lambda tally, trial=trial: tally.recorded(trial, running=trial.paused))  # type: ignore[misc]

    def trial_started(self, number: int, point: Point) -> None:
        self._count(lambda tally: tally.started(number, point))

    def epoch_reported(self, number: int, row: dict[str, Any]) -> None:
        self._count(lambda tally: tally.reported(number, row))

    def trial_paused(self, number: int) -> None:
        self._count(lambda tally: tally.paused(number))

    def trial_resumed(self, number: int) -> None:
        self._count(lambda tally: tally.resumed(number))

    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None:
        self._count(lambda tally: tally.ended(number, ending.verdict))
        self._told.put(lambda: self._lines.trial_ended(number, ending, value, best))

    def slots_changed(self, change: Change) -> None:
        self._count(lambda tally: tally.slots_changed(change.open))
        self._told.put(lambda: self._lines.slots_changed(change))

    def interrupted(self) -> None:
        self._told.put(self._lines.interrupted)

    def report_written(self, path: Path) -> None:
        self._told.put(lambda: self._lines.report_written(path))

    def note(self, text: str) -> None:
        self._told.put(lambda: self._lines.note(text))

    def close(self) -> None:
        """Shows what is still to be said, wipes the picture and gives the terminal back."""
        self._closing.set()
        if self._thread.ident is None:  # the study never started
            self._catch_up()
        elif self._thread.is_alive():
            try:
                self._thread.join(LAST_PICTURE_S)
            finally:  # the user may have lost patience with a terminal that takes no output
                if self._thread.is_alive():
                    self._console.show_cursor(True)

    def _count(self, event: Callable[[Tally], None]) -> None:
        """Has the tally, which belongs to the drawing thread, take in an event."""
        tally = self._tally
        if tally is not None:
            self._told.put(lambda: event(tally))

    def _draw(self) -> None:
        """Draws until the view is closed, or until the terminal is gone; the study continues without it."""
        picture = Live(console=self._console, get_renderable=self._picture, auto_refresh=False, transient=True)
        with contextlib.suppress(OSError), picture:
            over = False
            while not over:
                over = self._closing.wait(REFRESH_S)
                self._catch_up()
                picture.refresh()

    def _catch_up(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                self._told.get_nowait()()

    def _picture(self) -> RenderableType:
        if self._tally is None:
            return ""
        summary = self._tally.summary()
        elapsed = time.monotonic() - self._began
        spent, left = clock(elapsed), summary.seconds_left
        if self._budget is not None:
            spent += f" of {clock(self._budget)}"
            left = None if left is None else max(0.0, min(left, self._budget - elapsed))
        return Group("", Picture(summary, self._metric, [("time", f"{spent}, {time_left(left)}")]))
