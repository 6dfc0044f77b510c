"""What a study says on the terminal: a line per event."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from yolotune.config.settings import Settings, recorded_settings
from yolotune.config.space import Point
from yolotune.record.study import Ending, StudyRecord, TrialRecord, Verdict
from yolotune.report.outcome import outcome, sentence
from yolotune.report.status import planned_trials, tally_of
from yolotune.schedulers.halving import SuccessiveHalving
from yolotune.search.provenance import known_from
from yolotune.tuner.plan import Listener, Origin, Plan
from yolotune.workflows.paired import LEVEL

if TYPE_CHECKING:
    from yolotune.workflows.confirm import Confirmation
    from yolotune.workflows.retrain import Retrained

STYLES = {
    Verdict.COMPLETED: "green",
    Verdict.PLATEAUED: "cyan",
    Verdict.PRUNED: "yellow",
    Verdict.INTERRUPTED: "magenta",
}


class Lines(Listener):
    """Tells a listener's events as lines, coloured on a terminal and plain elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._best: float | None = None
        self._metric = ""
        self._go_on = ""
        self._study: Settings | None = None

    def study_started(self, folder: Path, plan: Plan) -> None:
        self._metric, self._study = plan.study.objective, plan.study
        self._go_on = go_on(folder, plan.origin)
        for line in plan_lines(plan):
            self._say(line)
        self._say(f"Study in {escape(str(short(folder)))}. Ctrl-C ends it in good order, to be resumed.")

    def trials_recorded(self, trials: Sequence[TrialRecord]) -> None:
        if not trials or self._study is None:
            return
        tally = tally_of(self._study)
        for trial in trials:
            tally.recorded(trial, running=False)
        stands = tally.summary()
        left = "" if stands.seconds_left is None else f"; at their pace about {clock(stands.seconds_left)} to go"
        begun = f"{stands.ended} trials ended, {stands.unfinished} to go on with"
        self._say(f"So far  {begun}, {stands.epochs_trained:,} epochs{left}")

    def trial_started(self, number: int, point: Point) -> None:
        self._say(f"{self._clock()} trial {number:>3} [dim]starts[/]")

    def trial_paused(self, number: int) -> None:
        self._say(f"{self._clock()} trial {number:>3} [dim]paused, its batch is not there yet[/]")

    def trial_resumed(self, number: int) -> None:
        self._say(f"{self._clock()} trial {number:>3} [dim]goes on[/]")

    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None:
        shown = "no value" if value is None else f"{self._metric} {value:.4f}"
        style = STYLES.get(ending.verdict, "red")
        mark = " [bold]best so far[/]" if best else ""
        head = f"{self._clock()} trial {number:>3} [{style}]{ending.verdict:<11}[/]"
        self._say(f"{head} {shown}{mark} [dim]({escape(ending.reason)})[/]")

    def interrupted(self) -> None:
        self._say("Stopping: running trials leave after this epoch. Once more Ctrl-C stops at once.")
        self._say(escape(f"Go on:   {self._go_on}"))

    def report_written(self, path: Path) -> None:
        self.note(f"Report:  {short(path)}")

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _clock(self) -> str:
        return clock(time.monotonic() - self._began)

    def _say(self, line: str) -> None:
        self._console.print(line)


def clock(seconds: float) -> str:
    """Returns a time as `1:02:03`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def plan_lines(plan: Plan) -> list[str]:
    """Returns in words, with rich's markup, what a plan will do."""
    study, data, resources = plan.study, plan.dataset, plan.resources
    place = f"{resources.gpu_share:.3g} GPU" if resources.gpu_share else "no GPU"
    search = (
        f"Search  {study.num_samples} trials of up to {study.epochs} epochs, {len(study.domains)} hyperparameters, "
        f"{study.search}, {len(plan.points)} initial points (trial 0: Ultralytics' defaults)"
    )
    if plan.origin:
        kind = plan.origin.kind.capitalize()
        search = f"{kind} {study.num_samples} trainings of {study.epochs} epochs: {plan.origin.what}"
    lines = [
        f"Data    {data.yaml}: {data.images['train']} train, {data.images['val']} val images, {data.nc} classes",
        search,
        f"Trial   {plan.model} at {study.fixed['imgsz']} px, {study.concurrent} at a time, "
        f"{resources.cpu_share:.3g} cores and {place} each",
    ]
    rules = []
    by = ", by early signals" if study.asha and study.asha.rank == "signals" else ""
    if study.asha and study.scheduler == "halving":
        rungs = ", ".join(map(str, SuccessiveHalving(study).milestones)) or "none"
        factor = f"factor {study.asha.reduction_factor:g}"
        rules.append(f"halving in batches of {study.asha.batch}, {factor}, rungs at epoch {rungs}{by}")
    elif study.asha:
        rules.append(f"ASHA from epoch {study.grace_period}, factor {study.asha.reduction_factor:g}{by}")
    if study.plateau:
        rules.append(f"plateau ({study.plateau.rule}) of {study.plateau.metric}")
    lines.append(f"W&B     {plan.wandb}")
    lines.append(f"Disk    at most {plan.disk / 1e9:.2g} GB, weights kept: {study.keep_weights}")
    lines.append(f"Stop    {' and '.join(rules) or 'nothing early'}")
    if not plan.origin:
        lines.append(f"Plan    {_expected(study)}")
    if study.ceiling.given:
        lines.append(f"Budget  {study.ceiling}, over all resumes; then it ends in good order, to be resumed with more")
    return [escape(line) for line in lines] + [f"[yellow]Note[/]    {escape(note)}" for note in plan.notes]


def _expected(study: Settings) -> str:
    """Returns what a study is expected to cost, and why."""
    found = study.forecast(planned_trials(study.num_samples, study.domains))
    if not found.rungs:
        return f"{found.most:,} epochs: {found.trials} trials in full"
    effort = f"effort {study.effort}: " if study.effort else ""
    about = "" if found.exact else "about "
    least = "" if found.exact else f"; {found.least:,} if all are cut as early as can be"
    rungs = ", ".join(map(str, found.rungs))
    return (
        f"{effort}{about}{found.expected:,.0f} epochs, {found.expected / found.most:.0%} of all trials in full "
        f"({found.most:,}){least}. Rungs at epochs {rungs} of {found.epochs}"
    )


def print_plan(plan: Plan, folder: Path) -> None:
    """Prints the outcome of `check`."""
    console = Console(highlight=False, soft_wrap=True)
    for line in plan_lines(plan):
        console.print(line)
    console.print(f"[green]Ready.[/] The study would be kept in {escape(str(short(folder)))}.")


def print_result(record: StudyRecord) -> None:
    """Prints the table of trials, the best point, and what to type next."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("trial", "verdict", "epochs", "best epoch", "value"):
        table.add_column(name, justify="left" if name == "verdict" else "right")
    for trial in record.trials:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        row = (str(trial.number), str(trial.verdict), str(len(trial.epochs)), str(trial.best_epoch or ""), value)
        table.add_row(*row, style="bold" if trial is record.best else None)
    console.print(table)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(record.verdicts.items()))
    console.print(f"{len(record.trials)} trials: {counts}; {record.epochs_trained} epochs trained.")
    found = outcome(record, recorded_settings(record.settings))
    if said := sentence(found):
        console.print(said, markup=False)
    for line in best_lines(record):
        console.print(line, markup=False)
    if not found.over:
        more = f" --budget {found.budget.doubled}" if found.spent else ""
        console.print(f"Go on:   {go_on(record.folder, origin_of(record))}{more}", markup=False)


def print_confirmation(found: Confirmation) -> None:
    """Prints what fresh seeds say: a row per point, and one honest sentence."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    heads = ("trial", "search", "confirmed", "spread", "to defaults", f"± ({LEVEL:.0%})", "curse", "seeds")
    for name in heads:
        table.add_column(name, justify="right")
    for point in found.points:
        differs = (_value(point.difference, "+"), _value(point.uncertainty))
        seeds = f"{len(point.known)} of {len(point.values)}"
        numbers = (_value(point.search_value), _value(point.mean), _value(point.spread), *differs)
        bold = found.best is not None and point.trial == found.best.trial
        table.add_row(str(point.trial), *numbers, _value(point.curse, "+"), seeds, style="bold" if bold else None)
    console.print(table)
    console.print("Trial 0 is Ultralytics' defaults. Curse: what the search promised beyond the confirmed mean.")
    console.print(found.verdict, markup=False)
    search = short(found.record.folder.parent)
    if found.best is not None:
        console.print(f"{search}/best.yaml holds trial {found.best.trial}, confirmed.", markup=False)
    if any(trial.unfinished for trial in found.record.trials):
        console.print(f"Go on:   {go_on(found.record.folder, origin_of(found.record))}", markup=False)


def print_model(found: Retrained) -> None:
    """Prints a final model: how good it is, where it lies, and what to type next."""
    console = Console(highlight=False, soft_wrap=True)
    model = short(found.weights)
    for line in (
        found.sentence,
        f"Weights: {model}, with last.pt and model-card.md beside it",
        f"Predict: yolo segment predict model={model} source=path/to/images",
        f"Export:  yolo export model={model} format=onnx",
    ):
        console.print(line, markup=False)


def go_on(folder: Path, origin: Origin | None) -> str:
    """Returns the command line that goes on with the study of a folder."""
    return origin.command(folder) if origin else f"yolotune resume {short(folder)}"


def origin_of(record: StudyRecord) -> Origin | None:
    """Returns the search that a recorded study was made from, if it is none itself."""
    said = record.settings.get("origin")
    return Origin(**said) if said else None


def best_lines(record: StudyRecord) -> list[str]:
    """Returns the best point of a study as lines: what it is, against the defaults, and what to type next."""
    best, held = record.chosen, record.confirmed
    if best is None:
        return ["No trial has a value yet."]
    lines = [
        f"Best: trial {best.number}, {record.settings['objective']} {_value(best.value)} at epoch {best.best_epoch}."
    ]
    if prior := known_from(best.point, record.settings):
        lines.append(f"Its point was known before: {prior}.")
    if held is not None and held.trial == best.number:
        seeds = ", ".join(map(str, held.seeds))
        lines.append(f"Confirmed: mean {held.mean:.4f} over the fresh seeds {seeds}.")
    elif held is not None:
        lines.append(
            f"Not confirmed. Trial {held.trial} is: mean {held.mean:.4f}. yolotune confirm {short(record.folder)}"
        )
    defaults = record.trials[0].value
    if best.number and defaults is not None and best.value is not None:
        lines.append(f"Ultralytics' defaults (trial 0): {defaults:.4f}, a difference of {best.value - defaults:+.4f}.")
    elif not best.number:
        lines.append("That is trial 0: the search has not beaten Ultralytics' defaults.")
    width = max(len(name) for name in best.point)
    for name, value in best.point.items():
        lines.append(f"  {name:<{width}}  {value:.6g}" if isinstance(value, float) else f"  {name:<{width}}  {value}")
    folder = short(record.folder)
    lines.append(f"Weights: {folder / best.weights.relative_to(record.folder)}")
    lines.append(f"Train:   yolo segment train cfg={folder}/best.yaml data={record.settings['data']}")
    return lines


def _value(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.4f}"


def short(path: Path) -> Path:
    """Returns a path relative to the current folder where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
