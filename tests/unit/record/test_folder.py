"""Where a study is kept, and who works on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ultralytics.utils.files import increment_path

from yolotune.config.layers import make_settings
from yolotune.record.folder import holder, new_folder, owned


def test_the_folder_takes_the_next_free_name_as_ultralytics_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = make_settings(data="d.yaml", project="mine", name="fish")
    for expected in ("fish", "fish-2", "fish-3"):
        folder = new_folder(settings)
        assert folder == tmp_path / "runs/tune/mine" / expected
        assert folder == increment_path(tmp_path / "runs/tune/mine/fish")
        folder.mkdir(parents=True)
    assert new_folder(make_settings(data="d.yaml", project="mine", name="fish", exist_ok=True)).name == "fish"


def test_a_planted_link_is_a_name_that_is_taken(tmp_path: Path) -> None:
    for number, target in enumerate((tmp_path, tmp_path / "nowhere")):
        project = tmp_path / f"project{number}"
        project.mkdir()
        (project / "study").symlink_to(target)
        assert new_folder(make_settings(data="d.yaml", project=str(project))) == project / "study-2"


def test_an_absolute_project_is_the_place_itself(tmp_path: Path) -> None:
    assert new_folder(make_settings(data="d.yaml", project=str(tmp_path))) == tmp_path / "study"


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
