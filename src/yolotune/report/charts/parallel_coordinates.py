"""All hyperparameters at once: parallel coordinates laid on their side, so that a phone can show them."""

from __future__ import annotations

import math
from typing import Any

from yolotune.config.space import Domain, Space
from yolotune.record.study import TrialRecord
from yolotune.report.axes import point_hover, position
from yolotune.report.chart import Chart, ChartGroup
from yolotune.report.formatting import listed, literal, plural, value_text
from yolotune.report.results import Results
from yolotune.report.style import ACCENT, FAINT, MUTED, Figure, Trace, figure, highlights, note
from yolotune.report.trials import drawn_with, ranked

#: Hyperparameters that are shown at most.
ROWS = 12


def parallel_coordinates(results: Results) -> ChartGroup | None:
    """Returns a row for each hyperparameter, low to high, and a line for each trial; None where there are too few.

    The better quarter of the trials is drawn in the accent colour; the best and trial 0 stand out.
    """
    names = results.hyperparameters[:ROWS]
    trials = drawn_with(results.record, names)
    if len(names) < 2 or len(trials) < 2:
        return None
    space = {name: results.settings.domains[name] for name in names}
    order = ranked(trials, results.record.mode)
    top = {trial.number for trial in order[: math.ceil(len(order) / 4)]}
    alt = f"Parallel coordinates of {listed(names)}: {plural(len(top), 'trial')} of the better quarter "
    alt += f"before {plural(len(trials) - len(top), 'other')}."
    text = (
        "A line is a trial, a row a hyperparameter from its low end to its high end: where the blue lines of the "
        "better quarter run close together, a value matters. Thick is the best, dotted trial 0."
    )
    chart = Chart("parallel-coordinates", alt, _figure(_traces(results, trials, top, space), space))
    return ChartGroup((chart,), heading="All together", text=text)


def _traces(results: Results, trials: list[TrialRecord], top: set[int], space: Space) -> list[Trace]:
    strong = highlights(trials, results.best, results.defaults)
    special = {one.trial.number for one in strong}
    plain = [trial for trial in trials if trial.number not in special]
    opacity = 0.55 if len(trials) <= 60 else 0.25
    others = [trial for trial in plain if trial.number not in top]
    better = [trial for trial in plain if trial.number in top]
    traces = [
        _lines(others, space, "others", {"color": FAINT, "width": 1}) | {"opacity": opacity + 0.2},
        _lines(better, space, "better quarter", {"color": ACCENT, "width": 1.4}) | {"opacity": opacity},
    ]
    traces += [_lines([one.trial], space, one.name, one.line) for one in strong]
    return [trace for trace in traces if trace["x"]]


def _lines(trials: list[TrialRecord], space: Space, name: str, line: dict[str, Any]) -> Trace:
    """Returns many trials as one trace with a gap after each."""
    x: list[float | None] = []
    y: list[int | None] = []
    text: list[str] = []
    for trial in trials:
        x += [*(round(position(trial.point[key], domain), 4) for key, domain in space.items()), None]
        y += [*range(len(space)), None]
        text += [*(point_hover(trial, [key]) for key in space), ""]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "text": text,
        "line": line,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _figure(traces: list[Trace], space: Space) -> Figure:
    x = {"title": "", "range": [-0.03, 1.03], "showticklabels": False, "showgrid": False, "fixedrange": True}
    y = {
        "title": "",
        "tickvals": list(range(len(space))),
        "ticktext": [literal(name) for name in space],
        "range": [len(space) - 1 + 0.35, -0.55],
        "fixedrange": True,
    }
    layout = {
        "height": 60 + 44 * len(space),
        "margin": {"l": 58, "r": 14, "t": 8, "b": 8},
        "annotations": [text for row, domain in enumerate(space.values()) for text in _ends(row, domain)],
    }
    return figure(traces, x=x, y=y, **layout)


def _ends(row: int, domain: Domain) -> list[dict[str, Any]]:
    """Returns both ends of a distribution, written at the ends of its row."""
    font = {"color": MUTED, "size": 10}
    place: dict[str, Any] = {"y": row, "yanchor": "bottom", "yshift": 1, "font": font}
    ends = domain.ends()
    return [
        note(value_text(ends[0]), x=0, xanchor="left", **place),
        note(value_text(ends[-1]), x=1, xanchor="right", **place),
    ]
