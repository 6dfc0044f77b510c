"""The dataset's summary on the page: shown as far as it is there, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from records import write_study
from yolotune.report import write_report
from yolotune.report.dataset import Remark, dataset_summary

TRAIN = {"images": 1200, "unlabelled": 2, "empty": 3, "objects": 40, "by_class": {"0": 30, "2": 10}}
VAL = {"images": 9, "unlabelled": 0, "empty": 9, "objects": 0, "by_class": {}, "sizes": None, "small": 0.0}
DOCUMENT: dict[str, Any] = {
    "summary": {
        "imgsz": 640,
        "names": {"0": "cat", "2": "<b>dog"},
        "splits": {"train": {**TRAIN, "sizes": [18.1, 48.6, 76.6], "small": 0.025}, "val": VAL},
    },
    "findings": [{"level": "warning", "where": "val", "what": "It has no object.", "fix": "Label it.", "count": 1}],
}


def study_with(folder: Path, said: str) -> Path:
    study = write_study(folder / "s", trials=1, epochs=2)
    (study / "data").mkdir(exist_ok=True)
    (study / "data" / "summary.json").write_text(said)
    return study


def test_the_dataset_is_told_in_numbers_with_what_was_found(tmp_path: Path) -> None:
    study = study_with(tmp_path, json.dumps(DOCUMENT))
    found = dataset_summary(study)
    assert found is not None
    assert found.splits == [
        ["train", "1,200", "5", "40", "18 to 77, median 49", "2.5%"],
        ["val", "9", "9", "0", "–", "–"],
    ]
    assert found.classes == [("cat", ["30", "0"]), ("<b>dog", ["10", "0"])]
    assert found.remarks == [Remark("warning", "val", "It has no object.", "Label it.")]
    text = write_report(study, photos=False).read_text(encoding="utf-8")
    assert 'id="dataset"' in text and "&lt;b&gt;dog" in text and "It has no object." in text


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"summary": null, "findings": []}', '{"summary": {"splits": 3}}'])
def test_a_damaged_summary_is_passed_over(tmp_path: Path, said: str) -> None:
    study = study_with(tmp_path, said)
    assert dataset_summary(study) is None
    assert 'id="dataset"' not in write_report(study, photos=False).read_text(encoding="utf-8")


def test_without_a_summary_nothing_is_shown(tmp_path: Path) -> None:
    assert dataset_summary(write_study(tmp_path / "s", trials=1, epochs=2)) is None
