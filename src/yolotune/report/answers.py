"""Charts of how hyperparameters and values go together: importance, slices, parallel coordinates, the strongest two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from yolotune.config.space import Choice, Domain, Space, Uniform
from yolotune.record.study import TrialRecord
from yolotune.report.charts import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    Chart,
    by_verdict,
    figure,
    label,
    listed,
    literal,
    marker,
    number,
    plural,
    ring,
    rings,
    shown_trials,
    verdict_of,
)
from yolotune.report.facts import Facts, ranked
from yolotune.report.influence import Influence

#: Hyperparameters that are sliced, and those that parallel coordinates show, at most.
SLICES, ROWS = 6, 12


def importance_chart(found: Influence) -> Chart:
    """Returns a bar for each hyperparameter, and a line where chance ends."""
    names = list(found.shares)[::-1]
    strong = set(found.strong)
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [literal(name) for name in names],
        "x": [found.shares[name] for name in names],
        "marker": {"color": [ACCENT if name in strong else FAINT for name in names]},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    line = {"color": INK, "width": 1, "dash": "dot"}
    shape = {"type": "line", "yref": "paper", "x0": found.chance, "x1": found.chance, "y0": 0, "y1": 1, "line": line}
    note = {
        "x": found.chance,
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "xanchor": "center",
        "showarrow": False,
        "text": "chance",
        "font": {"color": INK, "size": 11},
    }
    alt = "Importance: " + listed([f"{name} {share:.0%}" for name, share in found.shares.items()], 6)
    alt += f"; chance alone reaches {found.chance:.0%}."
    x = {"title": "share of the importance", "tickformat": ".0%", "rangemode": "tozero"}
    height = 90 + 22 * len(names)
    margin = {"l": 58, "r": 14, "t": 26, "b": 46}
    y = {"title": "", "showgrid": False, "type": "category"}
    layout = {"height": height, "margin": margin, "shapes": [shape], "annotations": [note], "bargap": 0.35}
    return Chart("importance", "", alt, figure([trace], x=x, y=y, **layout))


def slices(facts: Facts, space: Space, names: Sequence[str]) -> list[Chart]:
    """Returns the value over each of the named hyperparameters, a point for each trial."""
    trials = _valued(facts, names)
    charts = []
    for name in names:
        x = _value_axis(name, space[name])
        traces = _points(trials, facts, lambda trial, name=name: _shown(trial, name, space[name]), _value)
        layout = {"height": 250, "margin": {"l": 48, "r": 10, "t": 8, "b": 42}}
        alt = f"{label(facts.study.metric)} over {name}, {plural(len(trials), 'trial')}"
        best = facts.best
        if best and name in best.point:
            alt += f"; the best has {name} {_text(best.point[name])}"
        charts.append(Chart(f"slice-{name}", "", f"{alt}.", figure(traces, x=x, y={"title": ""}, **layout)))
    return charts


def together(facts: Facts, space: Space, names: Sequence[str]) -> Chart | None:
    """Returns the first two of the named hyperparameters against each other, coloured by value."""
    trials = _valued(facts, names)
    if len(names) < 2 or len(trials) < 2:
        return None
    first, second = names[:2]
    values = sorted(_value(trial) for trial in trials)
    traces = []
    for verdict, group in by_verdict(trials):
        mark = marker(verdict, 11)
        mark |= {"color": [_value(trial) for trial in group], "coloraxis": "coloraxis"}
        if not mark["symbol"].endswith("open"):
            mark["line"] = {"width": 0.5, "color": MUTED}
        else:
            mark["line"] = {"width": 3}
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": verdict,
                "x": [_shown(trial, first, space[first]) for trial in group],
                "y": [_shown(trial, second, space[second]) for trial in group],
                "text": [_hover(trial, names[:2]) for trial in group],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": mark,
            }
        )
    for trial, words, color in rings(facts.best, facts.defaults):
        if trial in trials:
            where = _shown(trial, first, space[first]), _shown(trial, second, space[second])
            traces.append(ring(*where, words, color))
    scale = [[0, FAINT], [1, ACCENT]] if facts.study.mode == "max" else [[0, ACCENT], [1, FAINT]]
    bar = {"thickness": 8, "outlinewidth": 0, "tickfont": {"color": MUTED, "size": 11}, "len": 0.9}
    axis = {"colorscale": scale, "cmin": values[0], "cmax": values[-1], "colorbar": bar}
    alt = f"{label(facts.study.metric)} by {first} and {second}, {plural(len(trials), 'trial')}"
    if facts.best:
        at = [f"{name} {_text(facts.best.point.get(name, ''))}" for name in (first, second)]
        alt += f"; the best lies at {listed(at)}"
    x, y = _value_axis(first, space[first]), _value_axis(second, space[second])
    return Chart("together", "", f"{alt}.", figure(traces, x=x, y=y, coloraxis=axis))


def parallel(facts: Facts, space: Space, names: Sequence[str]) -> Chart | None:
    """Returns parallel coordinates laid on their side, which a phone can show: a row per hyperparameter, low to high.

    The better quarter of the trials is drawn in the accent colour; the best and trial 0 stand out.
    """
    trials = _valued(facts, names)
    if len(names) < 2 or len(trials) < 2:
        return None
    order = ranked(trials, facts.study.mode)
    top = {trial.number for trial in order[: math.ceil(len(order) / 4)]}
    special = {id(trial) for trial in (facts.best, facts.defaults)}
    plain = [trial for trial in trials if id(trial) not in special]
    faint = 0.55 if len(trials) <= 60 else 0.25
    groups: list[tuple[str, list[TrialRecord], dict[str, Any], float]] = [
        ("others", [trial for trial in plain if trial.number not in top], {"color": FAINT, "width": 1}, faint + 0.2),
        ("better quarter", [trial for trial in plain if trial.number in top], {"color": ACCENT, "width": 1.4}, faint),
    ]
    for trial, words, color in rings(facts.best, facts.defaults):
        if trial in trials:
            dash = "solid" if color == ACCENT else "dot"
            groups.append((words, [trial], {"color": color, "width": 2.5, "dash": dash}, 1.0))
    traces = [_rows(group, names, space, words, line, opacity) for words, group, line, opacity in groups if group]
    alt = f"Parallel coordinates of {listed(list(names))}: {plural(len(top), 'trial')} of the better quarter "
    alt += f"before {plural(len(trials) - len(top), 'other')}."
    x = {"title": "", "range": [-0.03, 1.03], "showticklabels": False, "showgrid": False, "fixedrange": True}
    last = len(names) - 1
    y = {
        "title": "",
        "tickvals": list(range(len(names))),
        "ticktext": [literal(name) for name in names],
        "range": [last + 0.35, -0.55],
        "fixedrange": True,
    }
    ends = [note for row, name in enumerate(names) for note in _ends(row, space[name])]
    margin = {"l": 58, "r": 14, "t": 8, "b": 8}
    layout = {"height": 60 + 44 * len(names), "margin": margin, "annotations": ends}
    return Chart("parallel", "", alt, figure(traces, x=x, y=y, **layout))


def _rows(
    trials: list[TrialRecord], names: Sequence[str], space: Space, words: str, line: dict[str, Any], opacity: float
) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[int | None] = []
    text: list[str] = []
    for trial in trials:
        x += [*(round(_place(trial.point[name], space[name]), 4) for name in names), None]
        y += [*range(len(names)), None]
        text += [*(_hover(trial, [name]) for name in names), ""]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": words,
        "x": x,
        "y": y,
        "text": text,
        "line": line,
        "opacity": opacity,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _ends(row: int, domain: Domain) -> list[dict[str, Any]]:
    ends = domain.ends()
    return [
        {
            "x": place,
            "y": row,
            "xanchor": anchor,
            "yanchor": "bottom",
            "yshift": 1,
            "showarrow": False,
            "text": literal(_text(value)),
            "font": {"color": MUTED, "size": 10},
        }
        for place, anchor, value in ((0, "left", ends[0]), (1, "right", ends[-1]))
    ]


def _place(value: Any, domain: Domain) -> float:
    """Returns where a value lies in its distribution, 0..1."""
    if isinstance(domain, Choice):
        places = max(len(domain.options) - 1, 1)
        return next((at for at, option in enumerate(domain.options) if option == value), 0) / places
    low, high = (float(end) for end in domain.ends())
    if isinstance(domain, Uniform) and domain.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (float(value) - low) / (high - low) if high > low else 0.0


# --- points ----------------------------------------------------------------------------------------------------------


def _valued(facts: Facts, names: Sequence[str]) -> list[TrialRecord]:
    """Returns the trials to show that have a value and all the named hyperparameters."""
    trials = shown_trials(facts.study)
    return [trial for trial in trials if trial.value is not None and all(name in trial.point for name in names)]


def _value(trial: TrialRecord) -> float:
    return float(trial.value) if trial.value is not None else math.nan


def _points(trials: list[TrialRecord], facts: Facts, x: Any, y: Any) -> list[dict[str, Any]]:
    traces = []
    for verdict, group in by_verdict(trials):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": verdict,
                "x": [x(trial) for trial in group],
                "y": [y(trial) for trial in group],
                "customdata": [trial.number for trial in group],
                "hovertemplate": f"trial %{{customdata}}, {verdict}<br>%{{x}}: %{{y:.4f}}<extra></extra>",
                "marker": marker(verdict, 8),
            }
        )
    for trial, words, color in rings(facts.best, facts.defaults):
        if trial in trials:
            traces.append(ring(x(trial), y(trial), words, color))
    return traces


def _value_axis(name: str, domain: Domain) -> dict[str, Any]:
    if isinstance(domain, Choice):
        order = [literal(_text(option)) for option in domain.options]
        return {"title": name, "type": "category", "categoryorder": "array", "categoryarray": order}
    if isinstance(domain, Uniform) and domain.log:
        return {
            "title": name,
            "type": "log",
            "tickformat": "~g",
            "dtick": 1 if domain.high / domain.low > 100 else "D2",
        }
    return {"title": name, "nticks": 6}


def _shown(trial: TrialRecord, name: str, domain: Domain) -> Any:
    """Returns a value as its axis takes it: options as words, in their order."""
    value = trial.point[name]
    return literal(_text(value)) if isinstance(domain, Choice) else value


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _hover(trial: TrialRecord, names: Sequence[str]) -> str:
    points = "<br>".join(f"{literal(name)} {literal(_text(trial.point[name]))}" for name in names)
    return f"trial {trial.number}, {verdict_of(trial)}: {number(trial.value)}<br>{points}"
