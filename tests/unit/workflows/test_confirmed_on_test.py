"""What a confirm says of the test split, on records with numbers of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolotune.config.layers import make_settings
from yolotune.config.space import Point
from yolotune.record.split_scores import ModelScores, SplitScores, write_split_scores
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.workflows.confirm import _delivered, _tested, compared

DEFAULTS, BETTER, WORSE = {"lr0": 0.01}, {"lr0": 0.02}, {"lr0": 0.03}


def record_of(folder: Path, *trainings: tuple[Point, float]) -> StudyRecord:
    """A study of trainings that ended well, each with its point and value."""
    trials = [
        TrialRecord(number, folder / str(number), point, [], Ending(Verdict.COMPLETED, ""), 1, value)
        for number, (point, value) in enumerate(trainings)
    ]
    settings = make_settings(data="d.yaml", preset="none", space={"lr0": "uniform(0, 1)", "seed": "randint(0, 9)"})
    return StudyRecord(folder, "abcdef01", settings, trials)


@pytest.fixture
def search(tmp_path: Path) -> StudyRecord:
    return record_of(tmp_path, (DEFAULTS, 0.5), (BETTER, 0.7), (WORSE, 0.6))


@pytest.fixture
def trained(tmp_path: Path) -> StudyRecord:
    """Three points on two seeds."""
    points = [{**point, "seed": seed} for seed in (1, 2) for point in (DEFAULTS, BETTER, WORSE)]
    return record_of(tmp_path / "confirm", *zip(points, (0.5, 0.6, 0.55, 0.5, 0.62, 0.55), strict=True))


def write_scores(trained: StudyRecord, scores: dict[int, float]) -> None:
    trained.folder.mkdir(exist_ok=True)
    models = {
        number: ModelScores(1, trained.trials[number].value, {"seg_metrics/F1": score})
        for number, score in scores.items()
    }
    write_split_scores(trained.folder, SplitScores("ab", 12, 90, models))


def test_only_the_best_point_and_the_defaults_are_scored(search: StudyRecord, trained: StudyRecord) -> None:
    found = compared(search, trained, search.trials, (1, 2))
    assert found.best is not None and found.best.trial == 1
    assert [trial.number for trial in _delivered(found, search)] == [0, 1, 3, 4]


def test_their_scores_are_compared_seed_by_seed(search: StudyRecord, trained: StudyRecord) -> None:
    write_scores(trained, {0: 0.3, 3: 0.3, 1: 0.39, 4: 0.41})
    assert compared(search, trained, search.trials, (1, 2)).test == (
        "On the test split (12 images, 90 objects; it took part in no choice), 2 seeds: trial 1 reaches 0.400 on "
        "average, +0.100 to the defaults (± 0.063, 90%)."
    )
    assert _tested(trained, search.trials, (1, 2), 0).endswith("2 seeds: the defaults reach 0.300 on average.")


def test_nothing_is_said_where_a_training_has_no_score(search: StudyRecord, trained: StudyRecord) -> None:
    assert compared(search, trained, search.trials, (1, 2)).test == ""
    write_scores(trained, {0: 0.3, 3: 0.3, 1: 0.39})
    assert compared(search, trained, search.trials, (1, 2)).test == ""
