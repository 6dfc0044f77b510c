"""`study.db`: what optuna-dashboard is shown is what the record holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from yolotune.config.settings import Settings
from yolotune.errors import UserError
from yolotune.record.lock import owned
from yolotune.record.study import Ending, StudyRecord, Verdict, read_study
from yolotune.record.writer import Record
from yolotune.schedulers.plateau import Endings
from yolotune.search import database as mirror
from yolotune.search.optimizer import OptunaSearcher
from yolotune.workflows.dashboard import update

F1 = "seg_metrics/F1"
STUDY = Settings(data="d.yaml", name="fish", space={"lr0": "loguniform(1e-5, 1e-1)", "batch": "choice([8, 16])"})
TRIALS: list[tuple[Verdict | None, list[float]]] = [
    (Verdict.COMPLETED, [0.1, 0.6, 0.3]),
    (Verdict.PRUNED, [0.3, math.nan, 0.2]),
    (Verdict.DIVERGED, [0.4, math.nan]),
    (Verdict.FAILED, []),
    (Verdict.PLATEAUED, [0.5]),
    (None, [0.2]),
]


def told(folder: Path) -> tuple[OptunaSearcher, StudyRecord]:
    """Tells a searcher and a record the same trials."""
    record = Record(folder, metric=F1, mode="max")
    record.create(STUDY.model_dump(), {})
    endings = Endings()
    searcher = OptunaSearcher(STUDY, [], endings, database=folder / "study.db")
    for number, (verdict, values) in enumerate(TRIALS):
        suggestion = searcher.suggest(str(number))
        assert isinstance(suggestion, dict)
        record.start(number, suggestion["point"])
        for epoch, value in enumerate(values, start=1):
            record.append(number, {"epoch": epoch, F1: value})
            searcher.on_trial_result(str(number), {"epoch": epoch, F1: value})
        if verdict is not None:
            endings[number] = Ending(verdict, "r")
            record.end(number, endings[number], {})
            searcher.on_trial_complete(str(number), {})
    return searcher, read_study(folder)


def content(trials: list[optuna.trial.FrozenTrial]) -> list[tuple[Any, ...]]:
    return [(t.state.name, t.value, t.params, t.intermediate_values, t.user_attrs) for t in trials]


def shown(folder: Path) -> list[tuple[Any, ...]]:
    return content(optuna.load_settings(study_name="fish", storage=f"sqlite:///{folder}/study.db").trials)


def test_live_from_the_record_and_rebuilt_are_the_same(tmp_path: Path) -> None:
    searcher, record = told(tmp_path)
    live = content(searcher.optuna_study.trials)
    assert [row[0] for row in live] == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "COMPLETE", "RUNNING"]
    assert [row[1] for row in live] == [0.6, 0.2, None, None, 0.5, None]
    assert live[2][4] == {"trial": 2, "verdict": "diverged", "reason": "r"}
    assert shown(tmp_path) == live[:-1]

    again = OptunaSearcher(STUDY, [], Endings(), None, tmp_path / "study.db", record.trials)
    assert content(again.optuna_study.trials) == live
    assert shown(tmp_path) == live[:-1]

    mirror.rebuild(record, tmp_path / "study.db")
    assert shown(tmp_path) == live[:-1]


@pytest.mark.parametrize("content", [None, b"", b"no database", b"SQLite format 3\0" + bytes(100)])
def test_a_missing_or_damaged_database_is_rebuilt(tmp_path: Path, content: bytes | None) -> None:
    _, record = told(tmp_path)
    path = tmp_path / "study.db"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert mirror.count(path) is None
    update(record, path)
    assert len(shown(tmp_path)) == mirror.count(path) == 5


def test_a_database_that_lacks_trials_is_rebuilt_and_a_complete_one_left(tmp_path: Path) -> None:
    _, record = told(tmp_path)
    path = tmp_path / "study.db"
    before = path.stat().st_ino
    update(record, path)
    assert path.stat().st_ino == before
    short = StudyRecord(record.folder, record.settings, record.trials[:3])
    mirror.rebuild(short, path)
    assert mirror.count(path) == 3
    update(record, path)
    assert mirror.count(path) == 5


def test_the_database_of_a_study_at_work_is_left_to_it(tmp_path: Path) -> None:
    _, record = told(tmp_path)
    path = tmp_path / "study.db"
    mirror.rebuild(StudyRecord(record.folder, record.settings, record.trials[:3]), path)
    with owned(tmp_path):
        update(record, path)
        assert mirror.count(path) == 3
        path.unlink()
        with pytest.raises(UserError, match="no trial has ended yet"):
            update(record, path)
        assert not path.exists()


def test_a_study_that_goes_on_adds_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, record = told(tmp_path)
    path = tmp_path / "study.db"
    live = shown(tmp_path)
    added: list[int] = []
    monkeypatch.setattr(mirror.Mirror, "add", lambda self, *trials: added.extend(t.user_attrs["trial"] for t in trials))
    OptunaSearcher(STUDY, [], Endings(), None, path, record.trials)
    assert added == [] and shown(tmp_path) == live
    mirror.rebuild(StudyRecord(record.folder, record.settings, record.trials[:3]), path)
    OptunaSearcher(STUDY, [], Endings(), None, path, record.trials)
    assert added == [3, 4]
    OptunaSearcher(STUDY, [], Endings(), None, path, record.trials[:2])
    assert added == [3, 4, 0, 1] and not path.exists(), "it held others"
