"""What is printed before and after a study: its plan; the tables of a search, a confirmation and a final model."""

from __future__ import annotations

import html
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from yolotune.config.settings import Settings
from yolotune.display.dataset import warning_lines
from yolotune.display.formats import quoted, resume_command, short
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.report import on_test
from yolotune.report.formatting import number, plural
from yolotune.report.outcome import AFTER_NOTHING, is_foreseen, nothing_learned, outcome, sentence
from yolotune.schedulers.forecast import forecast, planned_trials

if TYPE_CHECKING:  # what is only printed need not be loaded by `yolotune best`
    from yolotune.tuner.plan import Plan
    from yolotune.workflows.confirm import Confirmation
    from yolotune.workflows.retrain import Retrained

# --- before a study ----------------------------------------------------------------------------------------------


def plan_lines(plan: Plan) -> list[str]:
    """Returns in words, with rich's markup, what a plan will do, and on what data."""
    data = plan.dataset
    classes = "1 class" if data.nc == 1 else f"{data.nc} classes"
    counted = f"{data.yaml}: {_trained(plan)} train, {data.images['val']} val images, {classes}"
    return [f"Data    {escape(counted)}", *warning_lines(plan.examined, data.yaml), *study_lines(plan)]


def _trained(plan: Plan) -> str:
    """Returns how many training images are used, of how many."""
    there, used = plan.dataset.images["train"], plan.dataset.trained(plan.settings.fixed.get("fraction", 1.0))
    return f"{used}" if used == there else f"{used} of {there}"


def study_lines(plan: Plan) -> list[str]:
    """Returns in words, with rich's markup, what a plan will do."""
    settings, resources = plan.settings, plan.resources
    place = f"{resources.gpu_share:.3g} GPU" if resources.gpu_share else "no GPU"
    images = f", {plan.images / 1e6:,.0f} MB of it decoded images, while it runs" if plan.images >= 1e6 else ""
    slots = f"one at a time, then up to {resources.slots}" if resources.auto else f"{resources.slots} at a time"
    cores = "1 core" if resources.cpu_share == 1 else f"{resources.cpu_share:.3g} cores"
    lines = [
        _trials(plan),
        f"Trial   {plan.model} at {settings.fixed['imgsz']} px, {slots}, {cores} and {place} each",
        f"Tracker {settings.tracker}, {plan.tracking}",
        f"Disk    at most {plan.disk / 1e9:.2g} GB{images}, weights kept: {settings.keep_weights}",
        f"Stop    {_early_stopping(settings)}",
    ]
    if not plan.origin:
        lines.append(f"Plan    {_expected(settings)}")
    if settings.cost_limit.given:
        lines.append(
            f"Budget  {settings.cost_limit}, all resumes included; then the study ends, to be resumed with more"
        )
    return [escape(line) for line in lines] + [f"[yellow]Note[/]    {escape(note)}" for note in plan.notes]


def _trials(plan: Plan) -> str:
    settings = plan.settings
    if plan.origin:
        kind = plan.origin.kind.capitalize()
        return f"{kind} {plural(settings.trials, 'training')} of {plural(settings.epochs, 'epoch')}: {plan.origin.what}"
    return (
        f"Search  {settings.trials} trials of up to {settings.epochs} epochs, {len(settings.domains)} hyperparameters, "
        f"{settings.search}, {plural(len(plan.points), 'initial point')} (trial 0: Ultralytics' defaults)"
    )


def _early_stopping(settings: Settings) -> str:
    rules = [settings.scheduler.summary(settings.epochs)]
    if settings.plateau:
        rules.append(f"plateau ({settings.plateau.rule}) of {settings.plateau.metric}")
    return " and ".join(filter(None, rules)) or "nothing early"


def _expected(settings: Settings) -> str:
    """Returns what a study is expected to cost, and why."""
    found = forecast(settings, planned_trials(settings))
    if not found.rungs:
        about = "" if is_foreseen(settings.scheduler) else "at most "
        return f"{about}{found.most:,} epochs: {found.trials} trials in full"
    effort = f"effort {settings.effort}: " if settings.effort else ""
    about = "" if found.exact else "about "
    least = "" if found.exact else f"; {found.least:,} if all are cut as early as can be"
    rungs = ", ".join(map(str, found.rungs))
    return (
        f"{effort}{about}{found.expected:,.0f} epochs, {found.expected / found.most:.0%} of all trials in full "
        f"({found.most:,}){least}. Rungs at epochs {rungs} of {found.epochs}"
    )


# --- after it ----------------------------------------------------------------------------------------------------


def print_result(record: StudyRecord) -> None:
    """Prints the table of trials, the best point, and what to type next."""
    console = _console()
    table = _table("trial", "verdict", "epochs", "best epoch", "value")
    for trial in record.trials:
        table.add_row(*trial_row(trial), style="bold" if trial is record.best else None)
    console.print(table)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(record.verdicts.items()))
    console.print(f"{len(record.trials)} trials: {counts}; {record.epochs_trained} epochs trained.")
    found = outcome(record)
    if said := sentence(found):
        console.print(said, markup=False)
    for line in _nothing_lines(record) if record.learned_nothing else best_lines(record):
        console.print(line, markup=False)
    if not found.over:
        more = f" --budget {found.budget.doubled}" if found.spent else ""
        console.print(f"Resume:  {resume_command(record.folder, record.origin)}{more}", markup=False)


def _nothing_lines(record: StudyRecord) -> list[str]:
    """Returns that no trial has learned anything, and what to do."""
    given = {"data": shlex.quote(record.settings.data), "epochs": 4 * record.settings.epochs}
    steps = [f"{why}: {command.format(**given)}" for why, command in AFTER_NOTHING]
    return [f"No trial has learned anything. {nothing_learned(record)}", *steps]


def trial_row(trial: TrialRecord) -> tuple[str, str, str, str, str]:
    """Returns a trial as a row: number, verdict, epochs, best epoch, value."""
    value = "" if trial.value is None else number(trial.value)
    verdict = str(trial.verdict or ("paused" if trial.paused else "running"))
    return str(trial.number), verdict, str(len(trial.epochs)), str(trial.best_epoch or ""), value


def best_lines(record: StudyRecord) -> list[str]:
    """Returns the best point of a study as lines: what it is, against the defaults, and what to type next."""
    best = record.chosen
    if best is None:
        return ["No trial has a value yet."]
    said = f"Best: trial {best.number}, {record.settings.objective} {number(best.value)} at epoch {best.best_epoch}."
    lines = [said, *_standing(record, best)]
    width = max(len(name) for name in best.point)
    for name, value in best.point.items():
        lines.append(f"  {name:<{width}}  {value:.6g}" if isinstance(value, float) else f"  {name:<{width}}  {value}")
    lines.append(f"Weights: {short(best.weights)}")
    data = shlex.quote(record.settings.data)
    lines.append(f"Train:   yolo segment train cfg={quoted(record.folder / 'best.yaml')} data={data}")
    return lines


def _standing(record: StudyRecord, best: TrialRecord) -> list[str]:
    """Returns in words where the best point comes from, whether it is confirmed, and how the defaults did."""
    lines, held = [], record.confirmed
    if prior := record.known_from(best.point):
        lines.append(f"Its point was known before: {prior}.")
    if held is not None and held.trial == best.number:
        seeds = ", ".join(map(str, held.seeds))
        lines.append(f"Confirmed: mean {number(held.mean)} over the fresh seeds {seeds}.")
    elif held is not None:
        again = f"yolotune confirm {quoted(record.folder)}"
        lines.append(f"Not confirmed. Trial {held.trial} is: mean {number(held.mean)}. {again}")
    defaults = record.trials[0].value
    if best.number and defaults is not None and best.value is not None:
        differs = f"a difference of {best.value - defaults:+.4f}"
        lines.append(f"Ultralytics' defaults (trial 0): {number(defaults)}, {differs}.")
    elif not best.number:
        lines.append("That is trial 0: the search has not beaten Ultralytics' defaults.")
    if said := on_test.sentence(record, best, metric=on_test.metric_name(record)):
        lines.append(said)
    return lines


def best_document(record: StudyRecord) -> dict[str, Any] | None:
    """Returns what `yolotune best --json` prints; None as long as no trial has a value."""
    best, held = record.chosen, record.confirmed
    if best is None:
        return None
    prior = record.known_from(best.point)
    return {
        "trial": best.number,
        "value": best.value,
        "test": record.on_test.of(best) if record.on_test else None,
        "confirmed": held.mean if held and held.trial == best.number else None,
        "point": best.point,
        "warm_from": asdict(prior) if prior else None,
    }


def print_confirmation(found: Confirmation) -> None:
    """Prints what fresh seeds say: a row per point, and one honest sentence."""
    from yolotune.workflows.paired import LEVEL

    console = _console()
    table = _table("trial", "search", "confirmed", "spread", "to defaults", f"± ({LEVEL:.0%})", "curse", "seeds")
    for point in found.points:
        numbers = (number(point.search_value), number(point.mean), number(point.spread))
        differs = (_signed(point.difference), number(point.uncertainty), _signed(point.curse))
        seeds = f"{len(point.known)} of {len(point.values)}"
        bold = found.best is not None and point.trial == found.best.trial
        table.add_row(str(point.trial), *numbers, *differs, seeds, style="bold" if bold else None)
    console.print(table)
    console.print("Trial 0 is Ultralytics' defaults. Curse: what the search promised beyond the confirmed mean.")
    console.print(found.conclusion, markup=False)
    if found.test:
        console.print(found.test, markup=False)
    search = short(found.record.folder.parent)
    if found.best is not None:
        console.print(f"{search}/best.yaml holds trial {found.best.trial}, confirmed.", markup=False)
    if any(trial.unfinished for trial in found.record.trials):
        console.print(f"Resume:  {resume_command(found.record.folder, found.record.origin)}", markup=False)


def print_model(found: Retrained) -> None:
    """Prints a final model: how good it is, where it lies, and what to type next."""
    console = _console()
    model = quoted(found.weights)
    for line in (
        found.sentence,
        f"Weights: {short(found.weights)}, with last.pt and model-card.md beside it",
        f"Predict: yolo segment predict model={model} source=path/to/images",
        f"Export:  yolo export model={model} format=onnx",
    ):
        console.print(line, markup=False)


def _table(*heads: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head == "verdict" else "right")
    return table


def _signed(value: float | None) -> str:
    return number(value) if value is None else f"{value:+.4f}"


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


#: Rows at most; of a longer study the best trials are shown.
MOST_ROWS = 50


def study_html(record: StudyRecord) -> str:
    """Returns a study as a self-contained HTML table, for `_repr_html_`.

    Args:
        record: The study, running or ended.
    """
    best, trials = record.best, record.trials
    shown = trials
    if len(trials) > MOST_ROWS:
        sign = -1 if record.mode == "max" else 1
        ranked = sorted(trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0.0)))
        shown = ranked[:MOST_ROWS]
    heads = ("trial", "verdict", "epochs", "best epoch", record.settings.objective)
    said = "no value yet" if best is None else f"best {number(best.value)}, trial {best.number}"
    left_out = f", the best {MOST_ROWS} of them below" if len(shown) < len(trials) else ""
    caption = f"{short(record.folder)}: {plural(len(trials), 'trial')}{left_out}; {said}"
    rows = "".join(_row(trial_row(trial), "td", bold=trial is best) for trial in shown)
    return (
        f'<table><caption style="text-align: left">{html.escape(caption)}</caption>'
        f"<thead>{_row(heads, 'th')}</thead><tbody>{rows}</tbody></table>"
    )


def _row(cells: tuple[str, ...], tag: str, *, bold: bool = False) -> str:
    style = ' style="font-weight: bold"' if bold else ""
    return f"<tr{style}>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
