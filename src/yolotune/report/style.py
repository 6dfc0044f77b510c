"""How all charts look: colours, the marks of verdicts, the empty figure, and the traces that most charts have.

A figure is a plain map in Plotly's own form; plotly.js draws it in the page. Colours are those of the light theme, and
the page replaces each by its dark one from `DARK`. Everything is drawn as SVG: some mail programs have no WebGL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Verdict
from yolotune.report.formatting import literal
from yolotune.report.trials import RUNNING, verdict_of

Figure = dict[str, Any]
Trace = dict[str, Any]

INK, MUTED, FAINT, RULE, PAPER, ACCENT = "#1a1d21", "#5b6470", "#c3cad3", "#e4e7eb", "#ffffff", "#1d5fd1"
#: Of the levels of overfitting.
GOOD, WARNING, SEVERE = "#0b7a6c", "#a87401", "#b5251c"
FONT = "system-ui, sans-serif"

#: Colour and Plotly symbol by verdict. Colour-blind readers can tell the colours apart (after Okabe and Ito), and the
#: symbol says the same once more.
MARKS: dict[str, tuple[str, str]] = {
    Verdict.COMPLETED: ("#0b7a6b", "circle"),
    Verdict.PLATEAUED: ("#3186c6", "diamond"),
    Verdict.PRUNED: ("#858d98", "x-thin-open"),
    Verdict.INTERRUPTED: ("#a87400", "square"),
    Verdict.DIVERGED: ("#cf5500", "triangle-up"),
    Verdict.OOM: ("#a2579c", "triangle-down"),
    Verdict.FAILED: ("#b5251b", "cross"),
    RUNNING: ("#4c5560", "circle-open"),
}
#: The same marks as characters, for words and tables.
GLYPHS = dict(zip(MARKS, "●◆×■▲▼✚○", strict=True))

#: Dark colour by light colour. All keys differ, so that each can be replaced.
DARK = {
    INK: "#e9ebee",
    MUTED: "#9ba4b0",
    FAINT: "#4a525d",
    RULE: "#2b3138",
    PAPER: "#14171b",
    ACCENT: "#7fb2ff",
    "#0b7a6b": "#41c2ad",
    "#3186c6": "#7cc6f5",
    "#858d98": "#88919d",
    "#a87400": "#e6b54a",
    "#cf5500": "#ff8f52",
    "#a2579c": "#d893d1",
    "#b5251b": "#ff7a70",
    "#4c5560": "#b3bbc6",
    GOOD: "#41c2ac",
    WARNING: "#e6b54b",
    SEVERE: "#ff7a71",
}


def figure(traces: Iterable[Trace], *, x: dict[str, Any], y: dict[str, Any], **layout: Any) -> Figure:
    """Returns a figure in the style of the page.

    Args:
        traces: In Plotly's form, drawn in this order.
        x: What the x axis has beside the style; `title` as plain text.
        y: The same for the y axis.
        layout: Further parts of Plotly's layout, such as `height` in pixels.
    """
    base = {
        "height": 340,
        "margin": {"l": 58, "r": 14, "t": 12, "b": 46},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "font": {"family": FONT, "size": 12, "color": MUTED},
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": PAPER,
            "bordercolor": FAINT,
            "font": {"color": INK, "family": FONT, "size": 12},
            "align": "left",
        },
        "showlegend": False,
    }
    return {"data": list(traces), "layout": {**base, "xaxis": _axis(x), "yaxis": _axis(y), **layout}}


def _axis(given: dict[str, Any]) -> dict[str, Any]:
    base = {
        "gridcolor": RULE,
        "linecolor": RULE,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "tickfont": {"color": MUTED, "size": 11},
    }
    title = {"text": literal(given.get("title", "")), "font": {"color": MUTED, "size": 12}, "standoff": 8}
    return {**base, **given, "title": title}


def marker(verdict: str, size: float = 8) -> dict[str, Any]:
    """Returns the marker of a verdict, `size` in pixels."""
    color, symbol = MARKS[verdict]
    line = {"width": 2 if symbol.endswith("open") else 1, "color": color if symbol.endswith("open") else PAPER}
    return {"color": color, "symbol": symbol, "size": size, "line": line}


def by_verdict(trials: Iterable[TrialRecord]) -> list[tuple[str, list[TrialRecord]]]:
    """Returns the trials of each verdict that occurs, pruned ones first, so that others are drawn over them."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        groups.setdefault(verdict_of(trial), []).append(trial)
    order = [Verdict.PRUNED, *(verdict for verdict in MARKS if verdict != Verdict.PRUNED)]
    return [(str(verdict), groups[verdict]) for verdict in order if verdict in groups]


def marks(
    trials: Iterable[TrialRecord],
    place: Callable[[TrialRecord], tuple[Any, Any]],
    hover: Callable[[TrialRecord], str],
    size: float = 8,
) -> list[Trace]:
    """Returns a mark for each trial, one trace for each verdict.

    Args:
        trials: To draw.
        place: Returns x and y of a trial.
        hover: Returns what its hover label says; may hold `<br>`, so texts of users must be `literal`.
        size: Of the marks in pixels.
    """
    return [
        points([place(trial) for trial in group], [hover(trial) for trial in group], marker(verdict, size), verdict)
        for verdict, group in by_verdict(trials)
    ]


def points(places: Sequence[tuple[Any, Any]], hover: Sequence[str], mark: dict[str, Any], name: str) -> Trace:
    """Returns marks of one kind at the given x and y, with a hover label each."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x for x, _ in places],
        "y": [y for _, y in places],
        "text": list(hover),
        "hovertemplate": "%{text}<extra></extra>",
        "marker": mark,
    }


class Highlight(NamedTuple):
    """A trial that every chart highlights, with its name and colour, and the dash of its line."""

    trial: TrialRecord
    name: str
    color: str
    dash: str

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.color, "width": 2.5, "dash": self.dash}


def highlights(
    trials: Sequence[TrialRecord], best: TrialRecord | None, defaults: TrialRecord | None
) -> list[Highlight]:
    """Returns trial 0 and the best one, as far as they are among the trials."""
    numbers = {trial.number for trial in trials}
    pair = [(defaults, "trial 0, the defaults", INK, "dot"), (best, "best", ACCENT, "solid")]
    return [Highlight(trial, *look) for trial, *look in pair if trial is not None and trial.number in numbers]


def rings(found: Iterable[Highlight], place: Callable[[TrialRecord], tuple[Any, Any]]) -> list[Trace]:
    """Returns rings around the marks of highlighted trials.

    Args:
        found: The trials.
        place: Returns x and y of a trial.
    """
    return [ring(*place(one.trial), one) for one in found]


def ring(x: Any, y: Any, look: Highlight) -> Trace:
    """Returns a ring around a mark that is drawn already."""
    mark = {"symbol": "circle-open", "size": 15, "color": look.color, "line": {"width": 2, "color": look.color}}
    place = {"x": [x], "y": [y], "name": look.name, "hoverinfo": "skip"}
    return {"type": "scatter", "mode": "markers", **place, "marker": mark}


def dotted_line(**ends: Any) -> dict[str, Any]:
    """Returns a dotted line across the whole chart: over all x where `y` is given, over all y where `x` is given."""
    line = {"type": "line", "line": {"color": INK, "width": 1, "dash": "dot"}}
    if "y" in ends:
        return {**line, "xref": "paper", "x0": 0, "x1": 1, "y0": ends["y"], "y1": ends["y"]}
    return {**line, "yref": "paper", "y0": 0, "y1": 1, "x0": ends["x"], "x1": ends["x"]}


def note(text: str, color: str = INK, **place: Any) -> dict[str, Any]:
    """Returns a text in a chart, placed as Plotly places annotations: `x`, `y`, `xref`, `yanchor` and so on."""
    return {"showarrow": False, "text": literal(text), "font": {"color": color, "size": 11}, **place}
