"""The live view of a study on a terminal, and the same picture once for `yolotune status`.

A thread of its own draws: telling the view something is an entry in a queue, so that neither a slow terminal nor a
signal handler that speaks in the middle of a line holds up the study.
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

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from yolotune.config.space import Point
from yolotune.display.lines import STYLES, Lines, clock, go_on, origin_of
from yolotune.record.lock import Holder
from yolotune.record.study import Ending, StudyRecord, TrialRecord, Verdict
from yolotune.record.worked_time import seconds_worked
from yolotune.report.status import RunningTrial, Summary, Tally, tally_of
from yolotune.search.provenance import recorded_provenance, told_of
from yolotune.tuner.plan import Listener, Plan

#: Seconds between two pictures.
REFRESH_S = 0.25
#: Seconds that the end of a study waits for a terminal that takes no output.
LAST_PICTURE_S = 5.0
#: Columns of a bar: fewer say nothing, more say no more.
BAR_WIDTH = (8, 40)
#: Columns that the table of running trials needs beside its bars and the name of the metric, which stands there twice.
BESIDE_BAR = 42
#: Lines of the picture that are no bars: two blank, the heading, what is left out, the summary with folded lines.
BESIDE_ROWS = 10
UNKNOWN = "–"


@contextlib.contextmanager
def watching() -> Iterator[Listener]:
    """Yields a listener that shows a study: live on a terminal, as plain lines elsewhere."""
    console = Console(highlight=False, soft_wrap=True)
    if not (sys.stdout.isatty() and console.is_interactive):  # rich takes FORCE_COLOR in a pipe for a terminal
        yield Lines(console)
        return
    view = LiveView(console)
    try:
        yield view
    finally:
        view.close()


class LiveView(Listener):
    """Draws running trials and how the study stands at the bottom of the terminal; lines scroll by above."""

    def __init__(self, console: Console) -> None:
        """Draws nothing before the study starts.

        Args:
            console: A terminal.
        """
        self._console = console
        self._lines = Lines(console)
        self._told: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="live view", daemon=True)
        self._tally: Tally | None = None
        self._metric = ""
        self._began = time.monotonic()
        self._budget: float | None = None

    def study_started(self, folder: Path, plan: Plan) -> None:
        study = plan.study
        self._metric, self._tally = study.objective, tally_of(study)
        if study.ceiling.seconds is not None:
            self._budget = max(0.0, study.ceiling.seconds - seconds_worked(folder))
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
        self._count(lambda tally: tally.started(number))

    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None:
        self._count(lambda tally: tally.ended(number, ending.verdict))
        self._told.put(lambda: self._lines.trial_ended(number, ending, value, best))

    def interrupted(self) -> None:
        self._told.put(self._lines.interrupted)

    def report_written(self, path: Path) -> None:
        self._told.put(lambda: self._lines.report_written(path))

    def note(self, text: str) -> None:
        self._told.put(lambda: self._lines.note(text))

    def close(self) -> None:
        """Shows what is still to be said, wipes the picture and gives the terminal back."""
        self._closing.set()
        if self._thread.is_alive():
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
        """Draws until the view is closed, or until the terminal is gone; the study goes on without it."""
        picture = Live(console=self._console, get_renderable=self._picture, auto_refresh=False, transient=True)
        with contextlib.suppress(OSError), picture:
            over = False
            while not over:
                over = self._closing.wait(REFRESH_S)
                with contextlib.suppress(Empty):
                    while True:
                        self._told.get_nowait()()
                picture.refresh()

    def _picture(self) -> RenderableType:
        if self._tally is None:
            return ""
        summary = self._tally.summary()
        elapsed = time.monotonic() - self._began
        spent, left = clock(elapsed), summary.seconds_left
        if self._budget is not None:
            spent += f" of {clock(self._budget)}"
            left = None if left is None else max(0.0, min(left, self._budget - elapsed))
        return Group("", Picture(summary, self._metric, [("time", f"{spent}, {_about(left)}")]))


class Picture:
    """Running trials as a table with bars, and how the study stands; fits any terminal from 50 columns on."""

    def __init__(self, summary: Summary, metric: str, last: Sequence[tuple[str, str]]) -> None:
        """Takes what is to be shown.

        Args:
            summary: How the study stands.
            metric: The objective by the user's name.
            last: Further lines, each with its word in front.
        """
        self._summary = summary
        self._metric = metric
        self._last = last

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # lines above are left to the terminal to wrap, which must not reach this table
        within = options.update(no_wrap=False, overflow="fold", max_width=options.max_width)
        for part in self._parts(options.max_width, console.height if console.is_terminal else 1000):
            yield from console.render(part, within)

    def _parts(self, width: int, height: int) -> Iterator[RenderableType]:
        shown = len(self._summary.running) + len(self._summary.paused)
        if shown:
            fits = max(1, height - BESIDE_ROWS - bool(self._summary.rungs))
            yield self._table(fits, width)
            if shown > fits:
                yield Text(f"and {shown - fits} more", style="dim")
            yield Text()
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for word, text in self._standing():
            grid.add_row(word, text)
        for word, said in self._last:
            grid.add_row(word, said)
        yield grid

    def _table(self, fits: int, width: int) -> Table:
        name = self._metric.rsplit("/", 1)[-1].partition("(")[0]
        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        bar = min(width - BESIDE_BAR - 2 * len(name), BAR_WIDTH[1])
        with_bar = bar >= BAR_WIDTH[0]
        table.add_column("trial", justify="right", no_wrap=True)
        if with_bar:
            table.add_column("", width=bar)
        for head in ("epoch", f"{name} val", f"{name} train", "left"):
            table.add_column(head, justify="right", no_wrap=True)
        running = len(self._summary.running)
        for place, trial in enumerate([*self._summary.running, *self._summary.paused][:fits]):
            bars = [_bar(trial, bar)] if with_bar else []
            left = UNKNOWN if trial.seconds_left is None else clock(trial.seconds_left)
            left, style = (left, None) if place < running else ("paused", "dim")
            numbers = (f"{trial.epoch}/{trial.epochs}", _number(trial.value), _number(trial.train), left)
            table.add_row(str(trial.trial), *bars, *numbers, style=style)
        return table

    def _standing(self) -> Iterator[tuple[str, Text]]:
        summary = self._summary
        trials = Text(f"{summary.ended} of {summary.planned} ended")
        over = [
            (f"{count} {verdict}", STYLES.get(Verdict(verdict), "red"))
            for verdict, count in summary.verdicts.items()
            if verdict != Verdict.INTERRUPTED
        ]
        paused = (len(summary.paused), "paused", "cyan")
        going = [(len(summary.running), "running", ""), paused, (summary.unfinished, "unfinished", "magenta")]
        for mark, parts in (
            (": ", over),
            ("; ", [(f"{count} {word}", style) for count, word, style in going if count]),
        ):
            for number, (part, style) in enumerate(parts):
                trials.append(", " if number else mark).append(part, style)
        yield "trials", trials
        if summary.rungs:
            waits = (f"batch {r.batch + 1} at epoch {r.epoch}: {r.there} of {r.of} there" for r in summary.rungs)
            yield "rungs", Text("; ".join(waits))
        trained, saved = summary.epochs_trained, summary.epochs_saved
        share = f" ({100 * saved / (trained + saved):.0f} %)" if saved else ""
        yield "epochs", Text(f"{trained} trained{self._of()}, {saved} saved by stopping early{share}")
        yield "best", self._best()

    def _of(self) -> str:
        """Returns what the epochs are held against: the budget, or else the forecast."""
        if self._summary.ceiling is not None:
            return f" of a budget of {self._summary.ceiling}"
        return "" if self._summary.expected is None else f" of about {self._summary.expected:.0f}"

    def _best(self) -> Text:
        best, defaults = self._summary.best, self._summary.defaults
        if best is None:
            return Text(UNKNOWN)
        said = Text(f"{self._metric} ").append(f"{best.value:.4f}", "bold")
        said.append(f", trial {best.trial} at epoch {best.epoch}")
        if best.trial and defaults is not None:
            said.append(f"; defaults {defaults:.4f}")
        return said


def print_status(record: StudyRecord, summary: Summary, holder: Holder | None) -> None:
    """Prints once how a recorded study stands, and whether a process works on it."""
    console = Console(highlight=False)
    if holder is not None:
        last = [("time", _about(summary.seconds_left)), ("by", str(holder))]
    elif summary.ended < summary.planned:
        last = [("by", f"no process; go on: {go_on(record.folder, origin_of(record))}")]
    else:
        last = [("by", "no process; the study has ended")]
    provenance = recorded_provenance(record.settings)
    prior = [("prior", told_of(provenance))] if provenance else []
    console.print(Picture(summary, str(record.settings["objective"]), [*prior, *last]))


def _bar(trial: RunningTrial, width: int) -> ProgressBar:
    return ProgressBar(trial.epochs, trial.epoch, width, complete_style="cyan", finished_style="green")


def _about(seconds: float | None) -> str:
    return f"{UNKNOWN} left" if seconds is None else f"about {clock(seconds)} left"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4f}"
