"""Where a study is, as a picture on a terminal: drawn again and again by the live view, once by `yolotune status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from yolotune.display.formats import STYLES, clock, resume_command
from yolotune.record.folder import Holder
from yolotune.record.provenance import told_of
from yolotune.record.study import StudyRecord
from yolotune.record.verdict import Verdict
from yolotune.report.formatting import NO_VALUE, number
from yolotune.report.tally import RunningTrial, Summary

#: Columns of a bar: fewer say nothing, more say no more.
BAR_WIDTH = (8, 40)
#: Columns that the table of running trials needs beside its bars and the name of the metric, which stands there twice.
BESIDE_BAR = 42
#: Lines of the picture that are no bars: two blank, the heading, what is left out, the summary with folded lines.
BESIDE_ROWS = 10


class Picture:
    """Running trials as a table with bars, and where the study is; fits any terminal from 50 columns on."""

    def __init__(self, summary: Summary, metric: str, last: Sequence[tuple[str, str]]) -> None:
        """Takes what is to be shown.

        Args:
            summary: Where the study is.
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
            left = NO_VALUE if trial.seconds_left is None else clock(trial.seconds_left)
            left, style = (left, None) if place < running else ("paused", "dim")
            numbers = (f"{trial.epoch}/{trial.epochs}", number(trial.value), number(trial.train), left)
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
            for place, (part, style) in enumerate(parts):
                trials.append(", " if place else mark).append(part, style)
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
        if self._summary.budget is not None:
            return f" of a budget of {self._summary.budget}"
        return "" if self._summary.expected is None else f" of about {self._summary.expected:.0f}"

    def _best(self) -> Text:
        best, defaults = self._summary.best, self._summary.defaults
        if best is None:
            return Text(NO_VALUE)
        said = Text(f"{self._metric} ").append(f"{best.value:.4f}", "bold")
        said.append(f", trial {best.trial} at epoch {best.epoch}")
        if best.trial and defaults is not None:
            said.append(f"; defaults {defaults:.4f}")
        return said


def print_status(record: StudyRecord, summary: Summary, holder: Holder | None) -> None:
    """Prints once where a recorded study is, and whether a process works on it."""
    console = Console(highlight=False)
    if holder is not None:
        last = [("time", time_left(summary.seconds_left)), ("by", str(holder))]
    elif summary.ended < summary.planned:
        last = [("by", f"no process; resume: {resume_command(record.folder, record.origin)}")]
    else:
        last = [("by", "no process; the study has ended")]
    prior = [("prior", told_of(record.warm_from))] if record.warm_from else []
    console.print(Picture(summary, record.settings.objective, [*prior, *last]))


def _bar(trial: RunningTrial, width: int) -> ProgressBar:
    return ProgressBar(trial.epochs, trial.epoch, width, complete_style="cyan", finished_style="green")


def time_left(seconds: float | None) -> str:
    """Returns `about 1:02:03 left`."""
    return f"{NO_VALUE} left" if seconds is None else f"about {clock(seconds)} left"
