"""From a command line to a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yolotune.cli.options import FLAGS, make_study
from yolotune.config.settings import Asha, Plateau, Settings
from yolotune.errors import UserError

#: The guide's flags, as issue and guide name them.
GUIDE = """
    data model project name concurrent num_samples epochs imgsz gpus cpus preset space points objective mode search
    grace_period reduction_factor brackets no_asha plateau_metric plateau_std plateau_num_results plateau_grace_period
    no_plateau seed device exist_ok
"""


def study(*words: str, **flags: Any) -> Settings:
    """Returns the study of a command line; flags that are not given come as typer gives them."""
    unset = {name: False if flag.kind is bool else None for name, flag in FLAGS.items()}
    return make_study(list(words), {**unset, "data": "d.yaml", **flags})


def refusal(*words: str, **flags: Any) -> str:
    with pytest.raises(UserError) as caught:
        study(*words, **flags)
    return str(caught.value)


def test_there_is_a_flag_for_everything_the_guide_names() -> None:
    assert set(GUIDE.split()) <= set(FLAGS)


def test_every_flag_fills_a_setting_that_exists() -> None:
    for flag in FLAGS.values():
        head, _, inner = (flag.field or flag.name).partition(".")
        assert head in Settings.model_fields
        assert not inner or inner in {"asha": Asha, "plateau": Plateau}[head].model_fields


def test_without_flags_the_preset_stands() -> None:
    assert study() == Settings(data="d.yaml")


def test_the_command_of_the_guide() -> None:
    found = study(data="path/to/data.yaml", project="my_project", concurrent=2)
    assert (found.data, found.project, found.concurrent) == ("path/to/data.yaml", "my_project", 2)


def test_zero_is_a_value_and_not_a_missing_flag() -> None:
    found = study(seed=0, gpus=0.0)
    assert (found.seed, found.gpus) == (0, 0.0)


def test_early_stopping_flags_change_one_number_each() -> None:
    found = study(
        grace_period=40.0, reduction_factor=1.5, brackets=2, plateau_num_results=10, plateau_grace_period=20.0
    )
    assert found.asha is not None and found.plateau is not None
    assert (found.grace_period, found.asha.reduction_factor, found.asha.brackets) == (40, 1.5, 2)
    assert (found.plateau.rule, found.plateau.num_results, found.plateau.grace_period) == ("patience", 10, 20)


def test_halving_has_its_own_factor_and_takes_the_numbers_of_the_rungs() -> None:
    found = study(scheduler="halving", grace_period=5.0, halving_batch=6)
    assert found.asha is not None and found.scheduler == "halving"
    assert (found.grace_period, found.asha.reduction_factor, found.asha.batch) == (5, 3, 6)


def test_no_trial_is_stopped_by_its_own_curve_unless_a_flag_says_so() -> None:
    assert study().plateau is None
    found = study(plateau_metric="seg_metrics/F1")
    assert found.plateau is not None and (found.plateau.rule, found.plateau.metric) == ("patience", "seg_metrics/F1")


def test_the_flag_of_the_guides_rule_brings_the_rule() -> None:
    found = study(plateau_std=0.02)
    assert found.plateau is not None and (found.plateau.rule, found.plateau.std) == ("std", 0.02)


def test_early_stopping_is_switched_off() -> None:
    found = study(no_asha=True, no_plateau=True)
    assert found.asha is None and found.plateau is None


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"grace_period": 5.0, "no_asha": True}, "--grace-period: given together with --no-asha"),
        ({"grace_period": 5.0, "scheduler": "none"}, "--grace-period: given together with --scheduler none"),
        ({"scheduler": "halving", "no_asha": True}, "scheduler: is halving, and asha is null"),
        ({"plateau_std": 0.1, "no_plateau": True}, "--plateau-std: given together with --no-plateau"),
        ({"no_plateau": True, "plateau_metric": "val/seg_loss"}, "--plateau-metric: given together with --no-plateau"),
    ],
)
def test_a_number_for_what_is_switched_off_is_refused(flags: dict[str, Any], named: str) -> None:
    assert named in refusal(**flags)
    assert named in refusal(**dict(reversed(flags.items())))


def test_trailing_pairs_are_fixed_arguments_read_as_yaml() -> None:
    found = study("cache=disk", "nbs=32", "weight_decay=1e-3", "cos_lr=true", "freeze=[0, 1]", "classes=")
    assert {name: found.train[name] for name in ("cache", "nbs", "weight_decay", "cos_lr", "freeze", "classes")} == {
        "cache": "disk",
        "nbs": 32,
        "weight_decay": 0.001,
        "cos_lr": True,
        "freeze": [0, 1],
        "classes": "",
    }


def test_pairs_in_ultralytics_own_words_fill_the_study() -> None:
    found = study("imgsz=320", "epochs=12", "device=0", "name=7", "exist_ok=true")
    assert (found.imgsz, found.epochs, found.device, found.name, found.exist_ok) == (320, 12, "0", "7", True)
    assert "imgsz" not in found.train


def test_data_may_be_a_pair_and_a_flag_wins_over_a_pair() -> None:
    assert study("data=other.yaml", data=None).data == "other.yaml"
    assert study("epochs=12", epochs=40).epochs == 40


def test_a_study_file_and_pairs_come_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("data: d.yaml\nepochs: 30\nimgsz: 320\n", encoding="utf-8")
    for words in ([str(file), "nbs=32"], ["nbs=32", str(file)]):
        found = study(*words, epochs=12)
        assert (found.epochs, found.imgsz, found.train["nbs"]) == (12, 320, 32)


def test_points_are_files() -> None:
    assert study(points=["a.yaml", "b.yaml"]).points == ["a.yaml", "b.yaml"]


def test_two_study_files_are_refused() -> None:
    assert "one study file at most" in refusal("a.yaml", "b.yaml")


def test_a_pair_that_is_no_yaml_is_named() -> None:
    assert "freeze=[0" in refusal("freeze=[0")


def test_without_a_dataset_nothing_starts() -> None:
    assert "give --data path/to/data.yaml" in refusal(data=None)


def test_a_study_file_that_is_missing_is_named() -> None:
    assert "nowhere.yaml: there is no such file" in refusal("nowhere.yaml")
