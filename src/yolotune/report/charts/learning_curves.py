"""Learning curves of all trials, on the validation and on the training split, and why each one stopped."""

from __future__ import annotations

from typing import Any

from yolotune.metrics import on_training_split
from yolotune.record.study import TrialRecord
from yolotune.report.chart import Chart, ChartGroup
from yolotune.report.formatting import label, listed, number, plural, wrapped
from yolotune.report.results import Results
from yolotune.report.style import Trace, by_verdict, figure, highlights, marker, marks
from yolotune.report.trials import curve, drawn_trials, reason_of, verdict_of


def learning_curves(results: Results) -> ChartGroup | None:
    """Returns the curves of the objective, and of the same metric on the training split if trials report it."""
    metric = results.record.metric
    on_val = _curves(results, metric, "curves")
    train = on_training_split(metric)
    on_train = _curves(results, train, "curves-train") if train else None
    if on_val is None and on_train is None:
        return None
    text = "" if on_train else "No trial reported the same metric on the training split."
    return ChartGroup(tuple(chart for chart in (on_val, on_train) if chart), text=text)


def _curves(results: Results, metric: str, name: str) -> Chart | None:
    """Returns all learning curves of a metric; None if no trial reported it."""
    trials = [trial for trial in drawn_trials(results.record) if curve(trial, metric)]
    if not trials:
        return None

    def end(trial: TrialRecord) -> tuple[Any, Any]:
        return curve(trial, metric)[-1]

    traces = [*_lines_by_verdict(results, trials, metric), *marks(trials, end, _hover, 7)]
    counts = listed([f"{len(group)} {verdict}" for verdict, group in by_verdict(trials)])
    alt = f"{label(metric)} over epochs: {plural(len(trials), 'curve')}, {counts}."
    if results.best and results.best in trials:
        values = [value for _, value in curve(results.best, metric)]
        alt += f" The best, trial {results.best.number}, goes from {number(values[0])} to {number(values[-1])}."
    x = {"title": "epoch", "rangemode": "tozero"}
    return Chart(name, alt, figure(traces, x=x, y=results.value_axis), label(metric))


def _lines_by_verdict(results: Results, trials: list[TrialRecord], metric: str) -> list[Trace]:
    """Returns faint lines for all trials, and strong ones for trial 0 and the best above them."""
    strong = highlights(trials, results.best, results.defaults)
    numbers = {one.trial.number for one in strong}
    opacity = 0.6 if len(trials) < 60 else 0.35
    traces = []
    for verdict, group in by_verdict(trial for trial in trials if trial.number not in numbers):
        line = {"color": marker(verdict)["color"], "width": 1.1}
        traces.append(_lines(group, metric, verdict, line) | {"opacity": opacity})
    traces += [_lines([one.trial], metric, one.name, one.line) for one in strong]
    return traces


def _lines(trials: list[TrialRecord], metric: str, name: str, line: dict[str, Any]) -> Trace:
    """Returns many curves as one trace with a gap after each: one path is drawn faster than hundreds."""
    x: list[int | None] = []
    y: list[float | None] = []
    numbers: list[int | None] = []
    for trial in trials:
        points = curve(trial, metric)
        x += [*(epoch for epoch, _ in points), None]
        y += [*(value for _, value in points), None]
        numbers += [trial.number] * len(points) + [None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "customdata": numbers,
        "line": line,
        "hovertemplate": "trial %{customdata}, epoch %{x}<br>%{y:.4f}<extra></extra>",
    }


def _hover(trial: TrialRecord) -> str:
    epochs = plural(len(trial.epochs), "epoch")
    return f"trial {trial.number}, {verdict_of(trial)} after {epochs}<br>{wrapped(reason_of(trial))}"
