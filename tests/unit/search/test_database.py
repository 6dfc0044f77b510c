"""`study.db` and `to_optuna`: what Optuna's tools are shown is what the record holds."""

from __future__ import annotations

import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from yolotune.config.settings import Settings
from yolotune.errors import UserError
from yolotune.record import folder as study_folder
from yolotune.record.study import StudyRecord, read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.search import Optimizer, database, to_optuna
from yolotune.workflows.dashboard import update

F1 = "seg_metrics/F1"
SETTINGS = Settings(
    data="d.yaml", name="fish", num_samples=9, space={"lr0": "loguniform(1e-5, 1e-1)", "batch": "choice([8, 16])"}
)
TRIALS: list[tuple[Verdict | None, list[float]]] = [
    (Verdict.COMPLETED, [0.1, 0.6, 0.3]),
    (Verdict.PRUNED, [0.3, math.nan, 0.2]),
    (Verdict.DIVERGED, [0.4, math.nan]),
    (Verdict.FAILED, []),
    (Verdict.PLATEAUED, [0.5]),
    (None, [0.2]),
]
ENDED = 5


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[Optimizer, Path]:
    """An optimizer and the folder of a study that were told the same trials."""
    folder = tmp_path_factory.mktemp("live") / "fish"
    record = RecordWriter(folder, metric=F1, mode="max")
    record.create(SETTINGS.model_dump(), {})
    optimizer = Optimizer(SETTINGS, [], database=folder / "study.db")
    for number, (verdict, values) in enumerate(TRIALS):
        suggestion = optimizer.ask()
        assert suggestion is not None
        record.start(number, suggestion.point)
        for epoch, value in enumerate(values, start=1):
            record.append(number, {"epoch": epoch, F1: value})
            optimizer.report(number, epoch, value)
        if verdict is not None:
            record.end(number, Ending(verdict, "r"), {})
            optimizer.tell(number, Ending(verdict, "r"))
    return optimizer, folder


@pytest.fixture
def record(live: tuple[Optimizer, Path], tmp_path: Path) -> StudyRecord:
    """A copy of the study."""
    return read_study(shutil.copytree(live[1], tmp_path / "fish"))


def content(trials: list[FrozenTrial]) -> list[tuple[Any, ...]]:
    return [(t.state.name, t.value, t.params, t.intermediate_values, t.user_attrs) for t in trials]


def shown(folder: Path) -> list[tuple[Any, ...]]:
    return content(optuna.load_study(study_name="fish", storage=f"sqlite:///{folder}/study.db").trials)


def test_live_from_the_record_and_rebuilt_are_the_same(live: tuple[Optimizer, Path], record: StudyRecord) -> None:
    trials = content(live[0].optuna_study.trials)
    assert [row[0] for row in trials] == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "COMPLETE", "RUNNING"]
    assert [row[1] for row in trials] == [0.6, 0.2, None, None, 0.5, None]
    assert trials[2][4] == {"trial": 2, "verdict": "diverged", "reason": "r"}
    assert shown(record.folder) == trials[:-1]

    again = Optimizer(SETTINGS, [], recorded=record.trials, database=record.folder / "study.db")
    assert content(again.optuna_study.trials) == trials
    assert shown(record.folder) == trials[:-1]

    database.rebuild(record, record.folder / "study.db")
    assert shown(record.folder) == trials[:-1]


def test_a_recorded_study_is_an_optuna_study(live: tuple[Optimizer, Path], record: StudyRecord) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    study = to_optuna(record)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO, "how much Optuna says is the user's choice"
    optuna.logging.set_verbosity(before)
    assert (study.study_name, study.best_value) == ("fish", 0.6)
    assert content(study.trials) == content(live[0].optuna_study.trials)
    assert len(study.trials_dataframe()) == len(TRIALS)
    lowest = to_optuna(replace(record, settings=SETTINGS.model_copy(update={"mode": "min"})))
    assert lowest.best_value == 0.1


def test_an_interrupted_trial_is_unfinished_and_not_in_the_database(record: StudyRecord) -> None:
    interrupted = Ending(Verdict.INTERRUPTED, "the study was stopped")
    path = record.folder / "study.db"
    optimizer = Optimizer(SETTINGS, [], recorded=record.trials, database=path)
    optimizer.ask()
    optimizer.tell(5, interrupted)
    optimizer.ask()
    optimizer.close()
    assert database.count(path) == ENDED
    stopped = replace(record, trials=[*record.trials[:5], replace(record.trials[5], ending=interrupted)])
    database.rebuild(stopped, path)
    assert database.count(path) == ENDED
    assert to_optuna(stopped).trials[5].state is TrialState.RUNNING


def test_a_database_that_cannot_be_written_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    optimizer = Optimizer(SETTINGS, [], database=tmp_path / "missing" / "study.db")
    optimizer.ask()
    optimizer.report(0, 1, 0.5)
    with caplog.at_level(logging.WARNING):
        optimizer.tell(0, Ending(Verdict.COMPLETED, "r"))
    assert "study.db: not written" in caplog.text
    assert optimizer.optuna_study.best_value == 0.5


@pytest.mark.parametrize("content", [None, b"", b"no database", b"SQLite format 3\0" + bytes(100)])
def test_a_missing_or_damaged_database_holds_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "study.db"
    if content is not None:
        path.write_bytes(content)
    assert database.count(path) is None


def test_a_damaged_database_is_made_anew_by_a_study_that_continues(record: StudyRecord) -> None:
    path = record.folder / "study.db"
    path.write_bytes(b"no database")
    Optimizer(SETTINGS, [], recorded=record.trials, database=path)
    assert database.count(path) == ENDED


def test_for_the_dashboard_a_database_that_lacks_trials_is_rebuilt_and_a_complete_one_left(record: StudyRecord) -> None:
    path = record.folder / "study.db"
    before = path.stat().st_ino
    update(record, path)
    assert path.stat().st_ino == before
    database.rebuild(replace(record, trials=record.trials[:3]), path)
    assert database.count(path) == 3
    update(record, path)
    assert database.count(path) == ENDED


def test_the_database_of_a_study_at_work_is_left_to_it(record: StudyRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_folder, "PATIENCE_S", 0.01)
    path = record.folder / "study.db"
    more = replace(record, trials=[*record.trials, record.trials[0]])
    with study_folder.owned(record.folder):
        update(more, path)
        assert database.count(path) == ENDED
        path.unlink()
        with pytest.raises(UserError, match="no trial has ended yet"):
            update(record, path)
        assert not path.exists()


def test_a_study_that_continues_adds_only_what_is_missing(record: StudyRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record.folder / "study.db"
    added: list[int] = []

    def note(_: database.StudyDatabase, *trials: FrozenTrial) -> None:
        added.extend(trial.user_attrs["trial"] for trial in trials)

    monkeypatch.setattr(database.StudyDatabase, "add", note)
    Optimizer(SETTINGS, [], recorded=record.trials, database=path)
    assert added == [] and database.count(path) == ENDED
    more = [*record.trials, replace(record.trials[0], number=6), replace(record.trials[1], number=7)]
    Optimizer(SETTINGS, [], recorded=more, database=path)
    assert added == [6, 7] and database.count(path) == ENDED
    Optimizer(SETTINGS, [], recorded=record.trials[:2], database=path)
    assert added == [6, 7, 0, 1] and not path.exists(), "it held others"
