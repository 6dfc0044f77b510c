"""The table that a notebook shows."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from records import write_study
from yolotune.display.tables import study_html
from yolotune.record.study import read_study


def test_a_study_is_a_table_of_its_trials(tmp_path: Path) -> None:
    values = {0: [0.1, 0.5], 1: [0.2, 0.6123], 2: [0.3]}
    folder = write_study(tmp_path / "<b>&study", trials=3, values=values, endings={2: None}, scheduler=None, epochs=2)
    table = ElementTree.fromstring(study_html(read_study(folder)))
    rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert rows == [
        ["trial", "verdict", "epochs", "best epoch", "metrics/F1(M)"],
        ["0", "completed", "2", "2", "0.5000"],
        ["1", "completed", "2", "2", "0.6123"],
        ["2", "running", "1", "", ""],
    ]
    (caption,) = (element.text for element in table.iter("caption"))
    assert caption == f"{folder}: 3 trials; best 0.6123, trial 1", "what is odd in it is escaped"
    assert [row.get("style") for row in table.iter("tr")] == [None, None, "font-weight: bold", None]


def test_of_a_long_study_the_best_trials_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolotune.display.tables.MOST_ROWS", 3)
    count = 8
    values = {number: [number / 100] for number in range(count)}
    record = read_study(write_study(tmp_path / "study", trials=count, values=values, scheduler=None, epochs=1))
    shown = study_html(record)
    assert shown.count("<tr") == 4
    assert "8 trials, the best 3 of them below; best 0.0700, trial 7" in shown
    assert "<td>4</td><td>completed" not in shown


def test_a_study_without_a_trial_has_a_heading(tmp_path: Path) -> None:
    assert "0 trials; no value yet" in study_html(read_study(write_study(tmp_path / "study", trials=0)))
