"""The value over each hyperparameter, one chart each."""

from __future__ import annotations

from typing import Any

from yolotune.record.study import TrialRecord
from yolotune.report.axes import axis, on_axis, point_hover
from yolotune.report.chart import Chart, ChartGroup
from yolotune.report.formatting import label, plural, value_text
from yolotune.report.results import Results
from yolotune.report.style import figure, highlights, marks, rings
from yolotune.report.trials import drawn_with

#: Hyperparameters that are shown at most.
SLICES = 6


def slices(results: Results) -> ChartGroup | None:
    """Returns a chart for each of the most important hyperparameters; None as long as no trial has a value."""
    names = results.hyperparameters
    if results.best is None or not names:
        return None
    objective = label(results.record.metric)
    text = f"{objective[0].upper()}{objective[1:]} over each hyperparameter"
    text += ", the most important first" if results.importance else ""
    text += ": look for a slope or an empty side, and mistrust a single point."
    more = len(names) - SLICES
    if more > 0:
        text += f" {more} more {'is' if more == 1 else 'are'} in the table of trials."
    charts = tuple(_slice(results, name) for name in names[:SLICES])
    return ChartGroup(charts, heading="One at a time", text=text, width=290)


def _slice(results: Results, name: str) -> Chart:
    domain = results.settings.domains[name]
    trials = drawn_with(results.record, [name])

    def place(trial: TrialRecord) -> tuple[Any, Any]:
        return on_axis(trial, name, domain), trial.value

    def hover(trial: TrialRecord) -> str:
        return point_hover(trial, [name])

    traces = marks(trials, place, hover)
    traces += rings(highlights(trials, results.best, results.defaults), place)
    alt = f"{label(results.record.metric)} over {name}, {plural(len(trials), 'trial')}"
    if results.best and name in results.best.point:
        alt += f"; the best has {name} {value_text(results.best.point[name])}"
    layout = {"height": 250, "margin": {"l": 48, "r": 10, "t": 8, "b": 42}}
    return Chart(f"slice-{name}", f"{alt}.", figure(traces, x=axis(name, domain), y=results.value_axis, **layout))
