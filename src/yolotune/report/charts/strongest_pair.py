"""The two most important hyperparameters against each other, coloured by value."""

from __future__ import annotations

import math
from typing import Any

from yolotune.record.study import TrialRecord
from yolotune.report.axes import axis, on_axis, point_hover
from yolotune.report.chart import Chart, ChartGroup
from yolotune.report.formatting import label, plural, value_text
from yolotune.report.results import Results
from yolotune.report.style import ACCENT, FAINT, MUTED, by_verdict, figure, highlights, marker, points, rings
from yolotune.report.trials import drawn_with


def strongest_pair(results: Results) -> ChartGroup | None:
    """Returns the chart of the two most important hyperparameters; None as long as there is no importance."""
    names = results.hyperparameters[:2]
    trials = drawn_with(results.record, names)
    if results.importance is None or len(trials) < 2:
        return None
    first, second = ((name, results.settings.domains[name]) for name in names)

    def place(trial: TrialRecord) -> tuple[Any, Any]:
        return on_axis(trial, *first), on_axis(trial, *second)

    traces = [
        points(
            [place(trial) for trial in group],
            [point_hover(trial, names) for trial in group],
            _colored(verdict, [_value(trial) for trial in group]),
            verdict,
        )
        for verdict, group in by_verdict(trials)
    ]
    traces += rings(highlights(trials, results.best, results.defaults), place)
    drawn = figure(traces, x=axis(*first), y=axis(*second), coloraxis=_color_axis(results, trials))
    chart = Chart("strongest-pair", _alt(results, names, len(trials)), drawn)
    text = "The bluer a mark, the better: look for a corner, not for a point."
    return ChartGroup((chart,), heading="The two strongest", text=text)


def _value(trial: TrialRecord) -> float:
    return math.nan if trial.value is None else float(trial.value)


def _colored(verdict: str, values: list[float]) -> dict[str, Any]:
    """Returns the marker of a verdict, coloured by value."""
    mark = marker(verdict, 11) | {"color": values, "coloraxis": "coloraxis"}
    is_open = mark["symbol"].endswith("open")  # its line takes the colour of the value
    return mark | {"line": {"width": 3} if is_open else {"width": 0.5, "color": MUTED}}


def _color_axis(results: Results, trials: list[TrialRecord]) -> dict[str, Any]:
    values = [_value(trial) for trial in trials]
    scale = [[0, FAINT], [1, ACCENT]] if results.record.mode == "max" else [[0, ACCENT], [1, FAINT]]
    bar = {"thickness": 8, "outlinewidth": 0, "tickfont": {"color": MUTED, "size": 11}, "len": 0.9}
    return {"colorscale": scale, "cmin": min(values), "cmax": max(values), "colorbar": bar}


def _alt(results: Results, names: list[str], count: int) -> str:
    alt = f"{label(results.record.metric)} by {names[0]} and {names[1]}, {plural(count, 'trial')}"
    if results.best:
        at = [f"{name} {value_text(results.best.point.get(name, ''))}" for name in names]
        alt += f"; the best has {at[0]} and {at[1]}"
    return f"{alt}."
