"""The trials as a table that a spreadsheet opens; the page carries it, so that it can be saved without a request."""

from __future__ import annotations

import base64
import csv
import io
from typing import Any

from yolotune.metrics import overfitting_level
from yolotune.record.study import TrialRecord
from yolotune.report.results import Results
from yolotune.report.trials import reason_of, value_so_far, verdict_of

#: A text that begins so is a formula to a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def trials_csv(results: Results) -> str:
    """Returns a line for each trial with the numbers as they were recorded; a trial's hyperparameters come last."""
    names = list(dict.fromkeys(name for trial in results.record.trials for name in trial.point))
    rows = [_row(results, trial) for trial in results.record.trials]
    text = io.StringIO()
    fields = ["trial", "verdict", "value", "best_epoch", "epochs", "seconds", "gap", "overfitting", "reason", *names]
    table = csv.DictWriter(text, fields, extrasaction="ignore")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _row(results: Results, trial: TrialRecord) -> dict[str, Any]:
    gap = results.gaps.get(trial.number)
    row = {
        **trial.point,
        **trial.effective,
        "trial": trial.number,
        "verdict": verdict_of(trial),
        "value": value_so_far(trial, results.record),
        "best_epoch": trial.best_epoch,
        "epochs": len(trial.epochs),
        "seconds": round(trial.seconds, 3),
        "gap": gap,
        "overfitting": None if gap is None else overfitting_level(gap),
        "reason": reason_of(trial),
    }
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    """Returns a value that a spreadsheet takes for no formula: a text that begins like one gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def data_uri(text: str, kind: str) -> str:
    """Returns a text as the target of a link.

    Args:
        text: Without secrets: nobody finds them in what is returned.
        kind: Its media type.
    """
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
