"""How long processes have worked on a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolotune.errors import UserError
from yolotune.record.worked_time import BETWEEN_S, FILE, WorkedTime, seconds_worked


def test_processes_add_up_and_survive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("yolotune.record.worked_time.time.monotonic", lambda: now)
    assert seconds_worked(tmp_path) == 0
    first = WorkedTime(tmp_path)
    now += BETWEEN_S - 1
    first.tick()
    assert seconds_worked(tmp_path) == 0, "not written yet"
    now += 11
    first.tick()
    now += 7  # then it is killed
    second = WorkedTime(tmp_path)
    now += 5
    second.end()
    assert seconds_worked(tmp_path) == BETWEEN_S + 10 + 5


@pytest.mark.parametrize("text", ["", "sessions: 3\n# end\n", "sessions: [{began: x}]\n# end\n", "schema: 1\n"])
def test_a_damaged_account_of_hours_is_named_to_who_continues_it(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=FILE):
        WorkedTime(tmp_path)
    assert seconds_worked(tmp_path) == 0.0, "who reads about the study is not held up"
