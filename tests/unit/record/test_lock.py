"""One process at a time works on a study, and others can tell which."""

from __future__ import annotations

from pathlib import Path

from yolotune.record.folder import holder, owned


def test_who_works_on_a_study_is_known_only_while_it_does(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with owned(tmp_path):
        found = holder(tmp_path)
        assert found is not None and found.pid > 0
        left_behind = (tmp_path / ".owner.json").read_text()
    assert holder(tmp_path) is None
    (tmp_path / ".owner.json").write_text(left_behind)  # as a killed process leaves it
    assert holder(tmp_path) is None
    before = sorted(tmp_path.iterdir())
    assert holder(tmp_path) is None and sorted(tmp_path.iterdir()) == before
