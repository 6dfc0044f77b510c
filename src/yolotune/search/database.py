"""`study.db`: ended trials in Optuna's SQLite form, for optuna-dashboard. A cache that is rebuilt from the record."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from yolotune.record.study import StudyRecord
from yolotune.search.conversion import frozen_trials, new_study

log = logging.getLogger(__name__)


class StudyDatabase:
    """Writes `study.db` while a study runs. An error in writing it never stops the study."""

    def __init__(self, path: Path, name: str, mode: str, trials: Sequence[FrozenTrial] = ()) -> None:
        """Adds the earlier trials that the file lacks; a file that holds others, or is damaged, is made anew.

        Args:
            path: The file.
            name: Of the study.
            mode: Direction of its objective, `max` or `min`.
            trials: That ended before.
        """
        self._path = path
        self._name = name
        self._mode = mode
        self._study: optuna.Study | None = None
        ended = {trial.user_attrs["trial"]: trial for trial in trials}
        held = _numbers(path)
        if not held or not held <= ended.keys():
            path.unlink(missing_ok=True)
            held = set()
        missing = [trial for number, trial in ended.items() if number not in held]
        if missing:
            self.add(*missing)

    def add(self, *trials: FrozenTrial) -> None:
        """Adds trials that ended."""
        try:
            self._study = self._study or new_study(self._name, self._mode, storage=_url(self._path))
            self._study.add_trials(trials)
        except Exception as error:  # SQLAlchemy and SQLite raise many kinds, and the record is complete without it
            log.warning("study.db: not written (%s). It can be rebuilt from the record.", error)


def rebuild(record: StudyRecord, path: Path) -> None:
    """Writes `study.db` anew from the record; the file is replaced only when the new one is complete."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    study = new_study(record.settings.name, record.mode, storage=_url(new))
    study.add_trials(trial for trial in frozen_trials(record) if trial.state.is_finished())
    new.replace(path)


def count(path: Path) -> int | None:
    """Returns how many trials a `study.db` holds; None where it is missing or damaged."""
    rows = _query(path, "SELECT COUNT(*) FROM trials")
    return None if rows is None else rows[0]


def _numbers(path: Path) -> set[int]:
    """Returns the numbers of the trials that a `study.db` holds; none where it is missing or damaged."""
    return set(_query(path, "SELECT value_json FROM trial_user_attributes WHERE key = 'trial'") or ())


def _query(path: Path, query: str) -> list[int] | None:
    """Returns a column of numbers from a `study.db`; None where it is missing or damaged."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return [int(number) for (number,) in database.execute(query)]
    except sqlite3.Error:
        return None


def _url(path: Path) -> str:
    return f"sqlite:///{path}"
