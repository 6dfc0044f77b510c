"""Where a new study is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from ultralytics.utils.files import increment_path

from yolotune.config.layers import make_settings
from yolotune.record.folder import new_folder


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


def test_an_absolute_project_is_the_place_itself(tmp_path: Path) -> None:
    assert new_folder(make_settings(data="d.yaml", project=str(tmp_path))) == tmp_path / "study"
