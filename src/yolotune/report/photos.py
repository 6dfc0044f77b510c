"""Validation photographs with the masks of the best trial beside those of trial 0, as data that a page can carry."""

from __future__ import annotations

import base64
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.metrics import LEAST_F1, is_finite
from yolotune.prepared import PreparedProcess
from yolotune.record.study import TrialRecord
from yolotune.report.results import Results
from yolotune.report.trials import best_report

#: Photographs, and seconds that drawing them may take.
COUNT, SECONDS = 6, 120.0
#: What draws them, in a process of its own.
PAINTER = "yolotune.report.predict"


@dataclass(frozen=True)
class Photo:
    """One drawn photograph: a data URI, and what it shows in words."""

    uri: str
    caption: str


@dataclass(frozen=True)
class Photos:
    """Rows of photographs, a column for the labels and one for each model.

    Attributes:
        columns: Their heads.
        rows: Name of the image, and a photograph for each column.
        missing: Without rows, why there are none.
        key: Name and colour of each class that is drawn.
    """

    columns: list[str]
    rows: list[tuple[str, list[Photo]]]
    missing: str = ""
    key: tuple[tuple[str, str], ...] = ()


def photographs(results: Results, painter: PreparedProcess | None = None) -> Photos:
    """Returns photographs with predictions, drawn in a process of its own; never fails.

    Args:
        results: Of the study; its weights and validation images are looked for where the record says.
        painter: The process, where it was started before; it draws once.
    """
    trials, missing = _models(results)
    if missing:
        return Photos([], [], missing)
    with tempfile.TemporaryDirectory(prefix="yolotune-report-") as folder:
        request = Path(folder) / "request.json"
        request.write_text(json.dumps(_request(results, trials, folder)), encoding="utf-8")
        try:
            failed = (painter or PreparedProcess(PAINTER)).ask(request, SECONDS)
        except OSError as error:  # the process cannot be started
            failed = str(error)
        return Photos([], [], f"They could not be drawn: {failed}.") if failed else _read(Path(folder), trials)


def _models(results: Results) -> tuple[list[TrialRecord], str]:
    """Returns trial 0 and the best trial, or why there is nothing to draw."""
    if results.best is None:
        return [], "No trial has a value yet, so there is nothing to draw."
    score = best_report(results.best).get("seg_metrics/F1")
    if is_finite(score) and score < LEAST_F1:
        return [], f"The best trial’s mask F1 is {score:.4f}: it finds next to nothing, so nothing is drawn."
    pair = [results.defaults, results.best] if results.best is not results.defaults else [results.best]
    trials = [trial for trial in pair if trial is not None]
    lost = [trial for trial in trials if not trial.weights.is_file()]
    if lost:
        return [], f"{lost[0].weights} is not there, so nothing can be drawn."
    return trials, ""


def _request(results: Results, trials: list[TrialRecord], folder: str) -> dict[str, Any]:
    """Returns what `predict.py` is asked to draw into a folder."""
    return {
        "index": str((results.record.folder / "data" / "labels-val.npz").resolve()),
        "names": (results.environment.get("dataset") or {}).get("names") or {},
        "weights": [str(trial.weights.resolve()) for trial in trials],
        "imgsz": int(results.settings.fixed["imgsz"]),
        "count": COUNT,
        "out": folder,
    }


def _read(folder: Path, trials: list[TrialRecord]) -> Photos:
    """Returns what `predict.py` drew."""
    names = [f"trial {trial.number}, the {'best' if trial.number else 'defaults'}" for trial in trials]
    columns = ["labels", *names]
    answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    for place, confidence in enumerate(answer["confidences"], start=1):
        columns[place] += f" (confidence from {confidence:.2f})"
    rows = []
    for row in answer["rows"]:
        uris = [base64.b64encode((folder / name).read_bytes()).decode() for name in row["files"]]
        drawn = [
            Photo(f"data:image/jpeg;base64,{uri}", caption) for uri, caption in zip(uris, row["captions"], strict=True)
        ]
        rows.append((row["image"], drawn))
    key = tuple((name, color) for name, color in answer["key"])
    return Photos(columns, rows, "" if rows else "No validation image has labels.", key)
