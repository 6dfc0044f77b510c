"""The study file that `yolotune init` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yolotune.config.layers import load_settings, make_settings
from yolotune.config.settings import Settings
from yolotune.config.template import SECTIONS, study_file, write_study_file
from yolotune.errors import UserError


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"preset": "guide"},
        {"preset": "none", "space": {"lr0": [0, 1]}},
        {"effort": "quick", "num_samples": 12},
        {"budget": "3000", "keep_weights": "top-3", "tracker": "none", "allow_bad_labels": True},
        {"scheduler": {"name": "halving", "batch": 6}, "plateau": {"rule": "std"}},
        {"scheduler": None, "train": {"nbs": 32, "cache": "disk"}},
        {"space": {"lr0": [0, 1], "warmup_bias_lr": [0, 0.1]}, "points": [{"lr0": 0.5, "warmup_bias_lr": 0.0}]},
        {"name": "1e-3", "project": "no", "device": "0", "warm_start": ["a", "b: c"]},
    ],
)
def test_a_written_study_file_says_the_same_again(tmp_path: Path, given: dict[str, Any]) -> None:
    settings = make_settings(data="d.yaml", **given)
    write_study_file(settings, tmp_path / "study.yaml")
    assert load_settings(tmp_path / "study.yaml", {}) == settings


def test_every_setting_stands_there_with_its_meaning() -> None:
    lines = study_file(make_settings(data="d.yaml")).splitlines()
    for name, field in Settings.model_fields.items():
        (line,) = (line for line in lines if line.startswith(f"{name}:"))
        assert name in SECTIONS or line.endswith(f" # {field.description}")


def test_what_the_effort_chooses_is_left_to_it_when_the_file_is_edited(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    for given in ({}, {"scheduler": "halving"}):
        text = study_file(make_settings(data="d.yaml", effort="quick", **given))
        file.write_text(text.replace("effort: quick", "effort: thorough"), encoding="utf-8")
        assert load_settings(file, {}) == make_settings(data="d.yaml", effort="thorough", **given)


def test_a_file_that_is_there_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    settings = make_settings(data="d.yaml")
    file = tmp_path / "study.yaml"
    write_study_file(settings, file)
    with pytest.raises(UserError, match="exists already"):
        write_study_file(settings, file)
    with pytest.raises(UserError, match=r"cannot be written: .* Fix: give another --output"):
        write_study_file(settings, tmp_path / "nowhere" / "study.yaml")
