"""What is said of the test split, on records with numbers of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from records import write_study
from yolotune.record.split_scores import FILE, ModelScores, SplitScores, read_split_scores, write_split_scores
from yolotune.record.study import StudyRecord, read_study
from yolotune.report import sentences
from yolotune.report.on_test import on_test, sampling_error, sentence
from yolotune.report.results import results_of

SCORES = {"seg_metrics/F1": 0.4, "box_metrics/F1": 0.6}


def study(folder: Path, *, scored: int = 2, **settings: Any) -> StudyRecord:
    """A study whose best trial and defaults have scores on a test split."""
    write_study(folder, trials=6, **settings)
    record = read_study(folder)
    best = record.best
    assert best is not None and best.number
    models = {}
    for trial, score in ((best, 0.4), (record.trials[0], 0.3))[:scored]:
        scores = {"seg_metrics/F1": score, "box_metrics/F1": score + 0.2}
        models[trial.number] = ModelScores(trial.best_epoch, trial.value, scores)
    write_split_scores(folder, SplitScores("ab", 12, 96, models))
    return read_study(folder)


def test_the_delivered_model_stands_beside_the_defaults(tmp_path: Path) -> None:
    record = study(tmp_path / "study")
    best = record.best
    assert best is not None
    where = "On the test split (12 images, 96 objects; it took part in no choice)"
    assert sentence(record, best) == (
        f"{where} trial {best.number} reaches mask F1 0.400 ± 0.050, the defaults 0.300 ± 0.047 (one standard error)."
    )
    results = results_of(record, {})
    assert sentence(record, best) in sentences.conclusion(results)
    assert ("0.400", "mask F1, test", "±0.050, it took part in no choice") in sentences.tiles(results)


def test_without_defaults_the_model_stands_alone_and_without_scores_nothing_is_said(tmp_path: Path) -> None:
    record = study(tmp_path / "study", scored=1)
    assert "the defaults" not in sentence(record, record.best)
    assert sentence(record, record.trials[0]) == "" == sentence(record, None)


def test_an_objective_that_is_no_score_is_replaced_by_the_mask_f1(tmp_path: Path) -> None:
    record = study(tmp_path / "study", objective="metrics/F1(B)")
    assert "box F1 0.600" in sentence(record, record.best)
    record = study(tmp_path / "other", objective="objective/own")
    assert "mask F1 0.400" in sentence(record, record.best)


def test_the_scores_of_another_model_are_not_those_of_this_one(tmp_path: Path) -> None:
    record = study(tmp_path / "study")
    best, known = record.best, record.on_test
    assert best is not None and known is not None
    other = ModelScores(best.best_epoch, 0.123, SCORES)
    write_split_scores(record.folder, known.extended({best.number: other}))
    assert on_test(read_study(record.folder), best) is None, "its trial was trained again"


@pytest.mark.parametrize("damage", ["", "models: [", "models: {a: 1}\nimages: 2", "[]", "schema: 1\nimages: many"])
def test_a_damaged_file_is_as_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / FILE).write_text(damage)
    assert read_split_scores(tmp_path) is None


def test_the_error_is_that_of_a_share_of_so_many_objects() -> None:
    assert sampling_error(0.5, 100) == pytest.approx(0.05)
