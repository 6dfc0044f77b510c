"""The best value over the epochs that all trials have trained."""

from __future__ import annotations

from typing import Any

from yolotune.metrics import better
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.report.chart import Chart
from yolotune.report.formatting import label, number, plural
from yolotune.report.results import Results
from yolotune.report.style import ACCENT, Trace, dotted_line, figure, marks, note
from yolotune.report.trials import drawn_trials, verdict_of


def best_so_far(results: Results) -> Chart | None:
    """Returns the best value over the epochs trained, trials laid end to end by number; None without any value."""
    record = results.record
    ends = _ends(record)
    if not ends or record.learned_nothing:
        return None
    steps = _steps(record, ends)

    def place(trial: TrialRecord) -> tuple[Any, Any]:
        return ends[trial.number], trial.value

    def hover(trial: TrialRecord) -> str:
        return f"trial {trial.number}, {verdict_of(trial)}<br>{number(trial.value)} after {ends[trial.number]} epochs"

    shown = [trial for trial in drawn_trials(record) if trial.number in ends]
    traces = [*marks(shown, place, hover, 7), _staircase([*steps, (record.epochs_trained, steps[-1][1])])]
    layout: dict[str, Any] = {}
    if results.defaults and results.defaults.value is not None:
        value, anchor = results.defaults.value, "top" if record.mode == "max" else "bottom"
        layout["shapes"] = [dotted_line(y=value)]
        layout["annotations"] = [
            note("defaults (trial 0)", xref="paper", x=1, xanchor="right", y=value, yanchor=anchor)
        ]
    alt = (
        f"The best {label(record.metric)} goes from {number(steps[0][1])} after {steps[0][0]} epochs to "
        f"{number(steps[-1][1])}, reached after {steps[-1][0]} of {record.epochs_trained} epochs, in "
        f"{plural(len(steps), 'step')}."
    )
    x = {"title": "epochs trained, all trials", "rangemode": "tozero"}
    return Chart("best-so-far", alt, figure(traces, x=x, y={"title": label(record.metric)}, **layout))


def _ends(record: StudyRecord) -> dict[int, int]:
    """Returns the epochs that were trained when a trial was over, by number of the trials that have a value."""
    trained = 0
    ends = {}
    for trial in record.trials:
        trained += len(trial.epochs)
        if trial.value is not None:
            ends[trial.number] = trained
    return ends


def _steps(record: StudyRecord, ends: dict[int, int]) -> list[tuple[int, float]]:
    """Returns epochs and value at every new best."""
    steps: list[tuple[int, float]] = []
    for trial in record.trials:
        if trial.value is not None and better(trial.value, steps[-1][1] if steps else None, record.mode):
            steps.append((ends[trial.number], trial.value))
    return steps


def _staircase(steps: list[tuple[int, float]]) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [epochs for epochs, _ in steps],
        "y": [value for _, value in steps],
        "line": {"shape": "hv", "color": ACCENT, "width": 2.5},
        "hovertemplate": "best so far %{y:.4f}<br>after %{x} epochs<extra></extra>",
    }
