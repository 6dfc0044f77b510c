"""The dataset's summary on the page: shown as far as it is there, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from records import write_study
from yolotune.data.doctor import Examination, write_summary
from yolotune.data.findings import Finding, Level
from yolotune.data.summary import SplitSummary, Summary
from yolotune.report import write_report
from yolotune.report.dataset import dataset_summary

TRAIN = SplitSummary(1200, 0, 2, 3, 40, {0: 30, 2: 10}, (18.1, 48.6, 76.6), 0.025)
VAL = SplitSummary(9, 0, 0, 9, 0, {}, None, 0.0)
SUMMARY = Summary(
    yaml="/data/data.yaml",
    fingerprint="f",
    names={0: "cat", 2: "<b>dog"},
    imgsz=640,
    splits={"train": TRAIN, "val": VAL},
    smallest=(64, 64),
    largest=(640, 480),
    commonest=(640, 480),
    commonest_share=0.9,
    aspect=1.3,
)
FINDING = Finding(Level.WARNING, "empty", "val", "It has no object.", "Label it.", 1, ("val",))


def study_in(folder: Path) -> Path:
    study = write_study(folder / "s", trials=1, epochs=2)
    (study / "data").mkdir(exist_ok=True)
    return study


def test_the_dataset_is_told_in_numbers_with_what_was_found(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    write_summary(Examination(SUMMARY, (FINDING,)), study / "data")
    found = dataset_summary(study)
    assert found is not None
    assert found.splits == [
        ["train", "1,200", "5", "40", "18 to 77, median 49", "2.5%"],
        ["val", "9", "9", "0", "–", "–"],
    ]
    assert found.classes == [("cat", ["30", "0"]), ("<b>dog", ["10", "0"])]
    assert found.findings == (FINDING,)
    text = write_report(study, photos=False).read_text(encoding="utf-8")
    assert 'id="dataset"' in text and "&lt;b&gt;dog" in text and "It has no object." in text


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"summary": null, "findings": []}', '{"summary": {"splits": 3}}'])
def test_a_damaged_summary_is_passed_over(tmp_path: Path, said: str) -> None:
    study = study_in(tmp_path)
    (study / "data" / "summary.json").write_text(said)
    assert dataset_summary(study) is None
    assert 'id="dataset"' not in write_report(study, photos=False).read_text(encoding="utf-8")


def test_without_a_summary_nothing_is_shown(tmp_path: Path) -> None:
    assert dataset_summary(write_study(tmp_path / "s", trials=1, epochs=2)) is None
