"""Charts of how a study went: best so far, learning curves, overfitting."""

from __future__ import annotations

from typing import Any

from yolotune.metrics import better
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.report.charts import (
    ACCENT,
    GOOD,
    INK,
    MUTED,
    SEVERE,
    WARNING,
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
    wrapped,
)
from yolotune.report.facts import Facts, best_report, curve
from yolotune.tracking.wandb import LEVELS, SEVERE_GAP, WARNING_GAP, overfitting, overfitting_level


def best_so_far(facts: Facts) -> Chart | None:
    """Returns the best value over the epochs spent, trials laid end to end by number; None without any value."""
    study = facts.study
    spent, best = 0, None
    steps: list[tuple[int, float]] = []
    ends: dict[int, int] = {}
    for trial in study.trials:
        spent += len(trial.epochs)
        if trial.value is None:
            continue
        ends[trial.number] = spent
        if better(trial.value, best, study.mode):
            best = trial.value
            steps.append((spent, best))
    if best is None:
        return None
    steps.append((study.epochs_trained, best))
    shown = [trial for trial in shown_trials(study) if trial.number in ends]
    traces: list[dict[str, Any]] = []
    for verdict, trials in by_verdict(shown):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": verdict,
                "x": [ends[trial.number] for trial in trials],
                "y": [trial.value for trial in trials],
                "customdata": [trial.number for trial in trials],
                "hovertemplate": f"trial %{{customdata}}, {verdict}<br>%{{y:.4f}} after %{{x}} epochs<extra></extra>",
                "marker": marker(verdict, 7),
            }
        )
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": [x for x, _ in steps],
            "y": [y for _, y in steps],
            "line": {"shape": "hv", "color": ACCENT, "width": 2.5},
            "hovertemplate": "best so far %{y:.4f}<br>after %{x} epochs<extra></extra>",
        }
    )
    layout: dict[str, Any] = {}
    if facts.defaults and facts.defaults.value is not None:
        layout["shapes"] = [_level(facts.defaults.value)]
        layout["annotations"] = [
            _note("defaults (trial 0)", facts.defaults.value, "top" if study.mode == "max" else "bottom")
        ]
    alt = (
        f"The best {label(study.metric)} goes from {number(steps[0][1])} after {steps[0][0]} epochs to {number(best)}, "
        f"reached after {steps[-2][0]} of {study.epochs_trained} epochs, in {plural(len(steps) - 1, 'step')}."
    )
    x = {"title": "epochs spent, all trials", "rangemode": "tozero"}
    return Chart("best-so-far", "", alt, figure(traces, x=x, y={"title": label(study.metric)}, **layout))


def _level(value: float) -> dict[str, Any]:
    line = {"color": INK, "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}


def _note(text: str, y: float, anchor: str) -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 1,
        "xanchor": "right",
        "y": y,
        "yanchor": anchor,
        "showarrow": False,
        "text": literal(text),
        "font": {"color": INK, "size": 11},
    }


# --- learning curves -------------------------------------------------------------------------------------------------


def counterpart(metric: str) -> str | None:
    """Returns the same metric on the train split; None where there is none, or it is one already."""
    group, _, name = metric.partition("/")
    if group in ("seg_metrics", "box_metrics"):
        return f"train_{metric}"
    return f"train/{name.removesuffix('_loss')}" if group == "val" else None


def curves(facts: Facts, metric: str, name: str) -> Chart | None:
    """Returns all learning curves of a metric with the place and reason each stopped; None if nobody reported it."""
    trials = [trial for trial in shown_trials(facts.study) if curve(trial, metric)]
    if not trials:
        return None
    special = {id(trial) for trial in (facts.best, facts.defaults)}
    traces = []
    for verdict, group in by_verdict(trials):
        plain = [trial for trial in group if id(trial) not in special]
        if plain:
            line = {"color": marker(verdict)["color"], "width": 1.1}
            traces.append(_lines(plain, metric, verdict, line) | {"opacity": 0.6 if len(trials) < 60 else 0.35})
    for trial, words, color in rings(facts.best, facts.defaults):
        if trial in trials:
            line = {"color": color, "width": 2.5, "dash": "solid" if color == ACCENT else "dot"}
            traces.append(_lines([trial], metric, words, line))
    for verdict, group in by_verdict(trials):
        points = [curve(trial, metric)[-1] for trial in group]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": verdict,
                "x": [epoch for epoch, _ in points],
                "y": [value for _, value in points],
                "text": [_stopped(trial) for trial in group],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": marker(verdict, 7),
            }
        )
    ended = {verdict: len(group) for verdict, group in by_verdict(trials)}
    alt = f"{label(metric)} over epochs: {plural(len(trials), 'curve')}, "
    alt += listed([f"{count} {verdict}" for verdict, count in ended.items()]) + "."
    if facts.best and facts.best in trials:
        last = curve(facts.best, metric)
        alt += f" The best, trial {facts.best.number}, goes from {number(last[0][1])} to {number(last[-1][1])}."
    return Chart(name, label(metric), alt, figure(traces, x={"title": "epoch", "rangemode": "tozero"}, y={"title": ""}))


def _lines(trials: list[TrialRecord], metric: str, name: str, line: dict[str, Any]) -> dict[str, Any]:
    """Returns many curves as one trace, with a gap after each: one path is drawn faster than hundreds."""
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


def _stopped(trial: TrialRecord) -> str:
    reason = trial.ending.reason if trial.ending else "no verdict yet"
    return f"trial {trial.number}, {verdict_of(trial)} after {plural(len(trial.epochs), 'epoch')}<br>{wrapped(reason)}"


# --- overfitting -----------------------------------------------------------------------------------------------------


def gaps(study: StudyRecord) -> dict[int, float]:
    """Returns train F1 less val F1 at the best epoch, by trial number, of the trials that reported both."""
    found = {}
    for trial in study.trials:
        gap = overfitting(best_report(trial))
        if gap:
            found[trial.number] = gap["overfitting/gap"]
    return found


def overfitting_chart(facts: Facts, found: dict[int, float]) -> Chart | None:
    """Returns the gap of each trial, as `gaps` found it, over its val F1, in the guide's bands."""
    trials = [trial for trial in shown_trials(facts.study) if trial.number in found]
    if not trials:
        return None
    val = {trial.number: best_report(trial)["seg_metrics/F1"] for trial in trials}
    traces = []
    for verdict, group in by_verdict(trials):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": verdict,
                "x": [val[trial.number] for trial in group],
                "y": [found[trial.number] for trial in group],
                "text": [
                    f"trial {trial.number}, {verdict}, epoch {trial.best_epoch}<br>val F1 {val[trial.number]:.4f}, "
                    f"train F1 {val[trial.number] + found[trial.number]:.4f}<br>"
                    f"gap {found[trial.number]:+.3f}: {overfitting_level(found[trial.number])}"
                    for trial in group
                ],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": marker(verdict, 9),
            }
        )
    for trial, words, color in rings(facts.best, facts.defaults):
        if trial.number in val:
            traces.append(ring(val[trial.number], found[trial.number], words, color))
    low, high = min(*found.values(), 0.0) - 0.02, max(*found.values(), SEVERE_GAP) + 0.05
    edges = (low, WARNING_GAP, SEVERE_GAP, high)
    bands = list(zip(LEVELS, edges, edges[1:], (GOOD, WARNING, SEVERE), strict=False))
    layout = {
        "shapes": [_band(bottom, top, color) for _, bottom, top, color in bands],
        "annotations": [
            {**_note(level, top, "top"), "font": {"color": color, "size": 12}} for level, _, top, color in bands
        ],
    }
    counted = [f"{sum(overfitting_level(gap) == level for gap in found.values())} {level}" for level in LEVELS]
    alt = f"Gap between train and val F1 at the best epoch of {plural(len(found), 'trial')}: {listed(counted)}."
    x = {"title": "mask F1, val", "rangemode": "tozero"}
    y = {"title": "train F1 less val F1", "range": [low, high], "showgrid": False}
    return Chart("overfitting", "", alt, figure(traces, x=x, y=y, **layout))


def _band(bottom: float, top: float, color: str) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": bottom,
        "y1": top,
        "fillcolor": color,
        "opacity": 0.09,
        "line": {"width": 0, "color": MUTED},
        "layer": "below",
    }
