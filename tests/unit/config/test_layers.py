"""Preset, study file and flags laid over each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yolotune.config.layers import load_settings, make_settings, merge, read_preset
from yolotune.config.scheduling import AshaSettings, HalvingSettings, NoScheduler
from yolotune.config.settings import Settings
from yolotune.config.space import Uniform
from yolotune.errors import UserError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = write(
        tmp_path / "study.yaml",
        "data: d.yaml\nepochs: 100\nseed: 3\ntrain: {cache: disk, nbs: 32}\nscheduler: {reduction_factor: 3}\n",
    )
    settings = load_settings(file, {"epochs": 40, "train": {"nbs": 16}, "scheduler": {"brackets": 2}})
    assert (settings.epochs, settings.seed) == (40, 3)
    assert settings.train == {"warmup_bias_lr": 0.0, "close_mosaic": 0.1, "cache": "disk", "nbs": 16}
    assert settings.scheduler == AshaSettings(reduction_factor=3, brackets=2, rank="signals")


def test_a_space_is_taken_whole_and_drops_the_points_and_fixed_arguments_of_the_one_it_replaces() -> None:
    settings = make_settings(data="d.yaml", space={"lr0": [0, 1], "warmup_bias_lr": [0, 0.1]})
    assert settings.domains.keys() == {"lr0", "warmup_bias_lr"}
    assert settings.points == []
    assert settings.train == {"close_mosaic": 0.1}
    assert make_settings(data="d.yaml", space={"lr0": [0, 1]}, points=[{"lr0": 1}]).points == [{"lr0": 1}]


def test_what_the_user_fixes_and_searches_himself_is_kept_for_the_check_to_refuse() -> None:
    settings = make_settings(data="d.yaml", space={"mosaic": [0, 1]}, train={"mosaic": 0.5})
    assert settings.train["mosaic"] == 0.5


def test_a_space_file_given_by_flag_replaces_the_space_of_the_study_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "study.yaml", "data: d.yaml\nspace: {lr0: [0, 1]}\npoints: [{lr0: 0.5}]\ntrain: {box: 7, nbs: 32}\n"
    )
    plain = write(tmp_path / "plain.yaml", "box: uniform(5, 8)\n")
    nested = write(tmp_path / "nested.yaml", "space: {box: 'uniform(5, 8)'}\n")
    for space in (plain, nested):
        settings = load_settings(file, {"space": str(space)})
        assert settings.domains == {"box": Uniform(5.0, 8.0)}
        assert settings.points == [] and "box" not in settings.train and settings.train["nbs"] == 32


def test_early_stopping_is_switched_off_by_null_or_false_and_on_again_by_a_number(tmp_path: Path) -> None:
    file = write(tmp_path / "study.yaml", "data: d.yaml\nscheduler: false\nplateau: null\n")
    settings = load_settings(file, {})
    assert settings.scheduler == NoScheduler() and settings.plateau is None
    again = load_settings(file, {"scheduler": {"grace_period": 4}, "plateau": {"rule": "std"}})
    assert isinstance(again.scheduler, AshaSettings) and again.scheduler.grace_period == 4
    assert again.plateau is not None and again.plateau.rule == "std"


@pytest.mark.parametrize(
    ("written", "flags", "expected"),
    [
        ("halving", {"name": "none"}, NoScheduler()),
        ("halving", {"batch": 4}, HalvingSettings(batch=4)),
        (None, {"name": "halving"}, HalvingSettings()),
        ("none", {"grace_period": 4}, AshaSettings(grace_period=4)),
        ({"name": "asha", "grace_period": 4, "brackets": 2}, {"name": "halving"}, HalvingSettings(grace_period=4)),
        ({"name": "halving", "batch": 4, "rank": "best"}, "asha", AshaSettings(rank="best")),
        ({"grace_period": 4}, {"reduction_factor": 3}, AshaSettings(grace_period=4, reduction_factor=3)),
    ],
)
def test_another_scheduler_keeps_the_numbers_that_it_takes_too(
    tmp_path: Path, written: Any, flags: Any, expected: Any
) -> None:
    file = write(tmp_path / "study.yaml", yaml.safe_dump({"data": "d.yaml", "scheduler": written}))
    assert load_settings(file, {"scheduler": flags}).scheduler == expected


def test_a_later_effort_wins_over_earlier_numbers(tmp_path: Path) -> None:
    numbers = "num_samples: 33\nscheduler: {reduction_factor: 5, grace_period: 4, rank: current}\n"
    file = write(tmp_path / "study.yaml", f"data: d.yaml\n{numbers}")
    assert load_settings(file, {}).num_samples == 33
    found = load_settings(file, {"effort": "quick"})
    assert (found.effort, found.num_samples, found.scheduler) == ("quick", None, AshaSettings(rank="current"))
    write(file, "data: d.yaml\nscheduler: null\n")
    assert load_settings(file, {"effort": "thorough"}).scheduler == AshaSettings()


def test_a_later_budget_in_epochs_chooses_the_number_of_trials_anew(tmp_path: Path) -> None:
    file = write(tmp_path / "study.yaml", "data: d.yaml\nnum_samples: 33\n")
    assert load_settings(file, {"budget": "2000"}).num_samples is None
    assert load_settings(file, {"budget": "8h"}).num_samples == 33
    assert load_settings(file, {"budget": "2000", "num_samples": 4}).num_samples == 4


def test_the_guides_numbers_are_one_flag_away_and_bear_no_effort_beside_them(tmp_path: Path) -> None:
    file = write(tmp_path / "study.yaml", "data: d.yaml\neffort: quick\n")
    found = load_settings(file, {"preset": "guide"})
    assert (found.effort, found.num_samples) == (None, 50)
    assert found.scheduler == make_settings(data="d.yaml", preset="guide").scheduler
    with pytest.raises(UserError, match=r"effort: got 'quick'\. The preset guide .*leave one of the two out"):
        load_settings(file, {"preset": "guide", "effort": "quick"})


def test_merging_leaves_its_inputs_alone() -> None:
    below = read_preset("yolo11-seg")
    merge(below, {"train": {"nbs": 1}, "space": {}, "scheduler": None, "preset": "guide"})
    assert below == read_preset("yolo11-seg")


def test_settings_that_are_written_and_read_again_are_equal() -> None:
    for given in ({}, {"preset": "guide"}, {"scheduler": "halving"}, {"scheduler": None, "plateau": {"rule": "std"}}):
        settings = make_settings(data="d.yaml", **given)
        assert Settings(**settings.model_dump()) == settings


def test_yaml_floats_are_floats(tmp_path: Path) -> None:
    file = write(tmp_path / "study.yaml", "data: d.yaml\nspace: {lr0: [1e-5, 1e-3], lrf: 1e-2}\nplateau: {std: 5e-3}\n")
    settings = load_settings(file, {})
    assert settings.domains == {"lr0": Uniform(1e-5, 1e-3)}
    assert settings.fixed["lrf"] == 0.01
    assert settings.plateau is not None and settings.plateau.std == 0.005


def test_words_that_look_like_numbers_are_words(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path / "study.yaml", "data: d.yaml\ndevice: 0\nname: 5\nproject: 7\n"), {})
    assert (settings.device, settings.name, settings.project) == ("0", "5", "7")


@pytest.mark.parametrize("text", ["- a\n", "", "word\n", "1: 2\n"])
def test_a_study_file_that_is_no_map_of_settings_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"study\.yaml: a study file is a map of settings"):
        load_settings(write(tmp_path / "study.yaml", text), {"data": "d.yaml"})


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no study here: study\.yaml is missing"):
        load_settings(tmp_path, {})


def test_an_argument_that_is_fixed_above_the_space_is_no_longer_searched(tmp_path: Path) -> None:
    settings = load_settings(None, {"data": "d.yaml", "train": {"batch": 16, "lr0": 0.01}})
    assert settings.domains.keys() & {"batch", "lr0"} == set() and "momentum" in settings.domains
    assert (settings.fixed["batch"], settings.fixed["lr0"]) == (16, 0.01)
    file = write(tmp_path / "study.yaml", "data: d.yaml\nspace: {batch: 'choice([8, 16])', box: [5, 8]}\n")
    assert load_settings(file, {"train": {"batch": 8}}).domains.keys() == {"box"}
    file = write(tmp_path / "study.yaml", "data: d.yaml\nspace: {box: [5, 8]}\ntrain: {box: 7}\n")
    assert {"box"} == load_settings(file, {}).domains.keys() & load_settings(file, {}).train.keys(), "left to the check"


def test_single_ranges_are_replaced_added_and_dropped(tmp_path: Path) -> None:
    changes = {"lr0": "loguniform(1e-4, 1e-2)", "cutmix": "", "nbs": "choice([32, 64])", "batch": 16}
    changes |= {"close_mosaic": [0, 5]}
    settings = load_settings(None, {"data": "d.yaml", "changes": changes})
    before = load_settings(None, {"data": "d.yaml"})
    assert settings.domains["lr0"].ends() == (1e-4, 1e-2)
    assert settings.domains.keys() == before.domains.keys() - {"cutmix", "batch"} | {"nbs", "close_mosaic"}
    assert settings.fixed["batch"] == 16 and "close_mosaic" not in settings.train
    with pytest.raises(UserError, match=r"--set mosiac=: not searched\. Did you mean mosaic"):
        load_settings(None, {"data": "d.yaml", "changes": {"mosiac": None}})
