"""What all charts of a report share: colours, marks, text that stays text, and the empty figure they start from.

A figure is a plain map in plotly's own form, drawn by plotly.js in the page. Colours are those of the light theme;
the page replaces them by the dark ones where `DARK` names one. Everything is drawn as SVG: a page that needed WebGL
would stay empty in some mail programs.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from yolotune.metrics import GROUPS, SHORT
from yolotune.record.study import StudyRecord, TrialRecord, Verdict
from yolotune.report.facts import ranked

Figure = dict[str, Any]

INK, MUTED, FAINT, RULE, PAPER, ACCENT = "#1a1d21", "#5b6470", "#c3cad3", "#e4e7eb", "#ffffff", "#1d5fd1"
RUNNING = "running"

#: Colour and plotly symbol by verdict. Colours stay apart for colour-blind readers (after Okabe and Ito); the symbol
#: says the same once more.
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
#: The same in words and in the table.
GLYPHS = dict(zip(MARKS, "●◆×■▲▼✚○", strict=True))
GOOD, WARNING, SEVERE = "#0b7a6c", "#a87401", "#b5251c"

#: Dark colour by light colour; all keys differ, so that each can be replaced.
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

#: Trials that one chart shows at most: what SVG draws at once without a pause, and an eye can still tell apart.
SHOWN = 240


@dataclass(frozen=True)
class Chart:
    """A figure and what it says to somebody who does not see it.

    Attributes:
        name: The id of its element.
        title: Above it; empty where the section says it.
        alt: One or two sentences with its numbers.
        figure: Traces and layout in plotly's form.
    """

    name: str
    title: str
    alt: str
    figure: Figure


def figure(traces: Iterable[dict[str, Any]], *, x: dict[str, Any], y: dict[str, Any], **layout: Any) -> Figure:
    """Returns a figure in the report's style.

    Args:
        traces: Drawn in this order.
        x: What the x axis has beside the style, `title` as plain text.
        y: The same for the y axis.
        layout: Further parts of the layout; `height` in pixels.
    """
    base = {
        "height": 340,
        "margin": {"l": 58, "r": 14, "t": 12, "b": 46},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": MUTED},
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": PAPER,
            "bordercolor": FAINT,
            "font": {"color": INK, "family": "system-ui, sans-serif", "size": 12},
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


def verdict_of(trial: TrialRecord) -> str:
    return str(trial.verdict or RUNNING)


def by_verdict(trials: Iterable[TrialRecord]) -> list[tuple[str, list[TrialRecord]]]:
    """Returns the trials of each verdict that occurs, those that stand out drawn last."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        groups.setdefault(verdict_of(trial), []).append(trial)
    order = [Verdict.PRUNED, *(verdict for verdict in MARKS if verdict != Verdict.PRUNED)]
    return [(str(verdict), groups[verdict]) for verdict in order if verdict in groups]


def rings(best: TrialRecord | None, defaults: TrialRecord | None) -> list[tuple[TrialRecord, str, str]]:
    """Returns the two trials that every chart marks, with their words and colours."""
    marked = [(defaults, "trial 0, the defaults", INK), (best, "best", ACCENT)]
    return [(trial, words, color) for trial, words, color in marked if trial is not None]


def ring(x: Any, y: Any, words: str, color: str) -> dict[str, Any]:
    """Returns a ring around a point that is drawn already."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x],
        "y": [y],
        "name": words,
        "hoverinfo": "skip",
        "marker": {"symbol": "circle-open", "size": 15, "color": color, "line": {"width": 2, "color": color}},
    }


def shown_trials(study: StudyRecord) -> list[TrialRecord]:
    """Returns the trials that charts of single trials show: all, or of a large study the best half and a sample.

    Trial 0 is always among them; the rest are taken evenly over the study, so that no time of it is missing.
    """
    trials = study.trials
    if len(trials) <= SHOWN:
        return trials
    kept = {trials[0].number, *(trial.number for trial in ranked(trials, study.mode)[: SHOWN // 2])}
    others = [trial for trial in trials if trial.number not in kept]
    room = SHOWN - len(kept)
    kept |= {others[place * len(others) // room].number for place in range(room)}
    return [trial for trial in trials if trial.number in kept]


def left_out(study: StudyRecord) -> str:
    """Returns in words which trials the charts leave out; nothing where they show all."""
    if len(study.trials) <= SHOWN:
        return ""
    return (
        f"Drawn are {SHOWN} of {len(study.trials):,} trials: trial 0, the best {SHOWN // 2}, and the rest evenly over "
        "the study. The numbers in words, and the table, count all of them."
    )


def label(metric: str) -> str:
    """Returns a metric of the record in words: `train_seg_metrics/F1` is `mask F1, train`."""
    group, _, name = metric.partition("/")
    if group in GROUPS:
        short = next((long for long, short in SHORT.items() if short == name), name)
        return f"{'box' if 'box' in group else 'mask'} {short}, {'train' if group.startswith('train') else 'val'}"
    return f"{name.removesuffix('_loss')} loss, {group}" if group in ("val", "train") else metric


def literal(text: object) -> str:
    """Returns a text as plotly.js shows it letter by letter: it reads a few HTML tags and entities."""
    return html.escape(str(text), quote=False)


def wrapped(text: object, width: int = 62, lines: int = 6) -> str:
    """Returns a text for a hover label: literal, broken into lines, cut where it is too long."""
    parts = textwrap.wrap(str(text), width, break_long_words=True) or [""]
    if len(parts) > lines:
        parts = [*parts[: lines - 1], parts[lines - 1][: width - 2] + " …"]
    return "<br>".join(literal(part) for part in parts)


def number(value: float | None, digits: int = 4) -> str:
    """Returns a value of the objective for reading: `digits` decimals, more for a small one; a dash for none."""
    if value is None:
        return "–"
    if abs(value) >= 1000 or 0 < abs(value) < 10**-digits:
        return f"{value:.3g}"
    return f"{value:.{digits}f}"


def plural(count: int, word: str) -> str:
    """Returns `1 trial` or `3 trials`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(items: Sequence[str], most: int = 12) -> str:
    """Returns `a, b and c`, or the first of many and how many more there are."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
