"""How far each trial overfits: train F1 less val F1 at its best epoch, over val F1, in the guide's bands."""

from __future__ import annotations

from typing import Any

from yolotune.metrics import LEVELS, SEVERE_GAP, WARNING_GAP, overfitting_level
from yolotune.record.study import TrialRecord
from yolotune.report.chart import Chart
from yolotune.report.formatting import listed, plural
from yolotune.report.results import Results
from yolotune.report.style import GOOD, MUTED, SEVERE, WARNING, figure, highlights, marks, note, rings
from yolotune.report.trials import best_report, drawn_trials, level_counts, verdict_of


def overfitting(results: Results) -> Chart | None:
    """Returns the gap of each trial; None as long as no trial reported F1 on both splits."""
    gaps = results.gaps
    trials = [trial for trial in drawn_trials(results.record) if trial.number in gaps]
    if not trials:
        return None

    def place(trial: TrialRecord) -> tuple[float, float]:
        return _val_f1(trial), gaps[trial.number]

    def hover(trial: TrialRecord) -> str:
        return _hover(trial, gaps[trial.number])

    traces = marks(trials, place, hover, 9)
    traces += rings(highlights(trials, results.best, results.defaults), place)
    low, high = min(*gaps.values(), 0.0) - 0.02, max(*gaps.values(), SEVERE_GAP) + 0.05
    edges = (low, WARNING_GAP, SEVERE_GAP, high)
    bands = list(zip(LEVELS, edges, edges[1:], (GOOD, WARNING, SEVERE), strict=False))
    layout = {
        "shapes": [_band(bottom, top, color) for _, bottom, top, color in bands],
        "annotations": [
            note(level, color, xref="paper", x=1, xanchor="right", y=top, yanchor="top")
            for level, _, top, color in bands
        ],
    }
    alt = (
        f"Gap between train and val F1 at the best epoch of {plural(len(gaps), 'trial')}: {listed(level_counts(gaps))}."
    )
    x = {"title": "mask F1, val", "rangemode": "tozero"}
    y = {"title": "train F1 less val F1", "range": [low, high], "showgrid": False}
    return Chart("overfitting", alt, figure(traces, x=x, y=y, **layout))


def _val_f1(trial: TrialRecord) -> float:
    return float(best_report(trial)["seg_metrics/F1"])


def _hover(trial: TrialRecord, gap: float) -> str:
    val = _val_f1(trial)
    return (
        f"trial {trial.number}, {verdict_of(trial)}, epoch {trial.best_epoch}<br>"
        f"val F1 {val:.4f}, train F1 {val + gap:.4f}<br>gap {gap:+.3f}: {overfitting_level(gap)}"
    )


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
