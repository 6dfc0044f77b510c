"""From a command line to settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from yolotune._yaml import write_yaml
from yolotune.cli.options import FLAGS, MACHINE, TRAINING, ULTRALYTICS_NAMES, parse_settings
from yolotune.config import scheduling
from yolotune.config.arguments import ultralytics_defaults
from yolotune.config.base import Strict
from yolotune.config.compat import SCHEMA
from yolotune.config.flags import SWITCHES
from yolotune.config.layers import make_settings
from yolotune.config.scheduling import (
    AshaSettings,
    HalvingSettings,
    NoScheduler,
    PlateauSettings,
    SchedulerSettings,
)
from yolotune.config.settings import Settings
from yolotune.errors import UserError

#: The guide's flags, and those that came since.
PROMISED = """
    data model project name wandb exist_ok storage keep_weights allow_bad_labels concurrent effort budget num_samples
    epochs imgsz seed address gpus cpus max_failures device preset space points points_strict warm_start top objective
    mode search scheduler grace_period reduction_factor brackets rank halving_batch no_asha plateau_metric plateau_std
    plateau_num_results plateau_grace_period no_plateau tracker
"""


def settings_of(*words: str, **flags: Any) -> Settings:
    """Returns the settings of a command line; options that are not given come as typer gives them."""
    unset = {name: False if flag.kind is bool else None for name, flag in FLAGS.items()}
    return parse_settings(words, {**unset, **dict.fromkeys(SWITCHES, False), "data": "d.yaml", **flags})


def refusal(*words: str, **flags: Any) -> str:
    with pytest.raises(UserError) as caught:
        settings_of(*words, **flags)
    return str(caught.value)


# --- options are the fields of the settings ----------------------------------------------------------------------


def shown_fields() -> Iterator[tuple[str, Any]]:
    """Yields every field that has a panel, with the name of its option."""
    models: list[type[Strict]] = [Settings, AshaSettings, HalvingSettings, PlateauSettings]
    for model in models:
        for name, field in model.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("panel"):
                yield str(extra["flag"] or name), field


def test_every_promised_option_is_there_and_no_other() -> None:
    assert {*FLAGS, *SWITCHES} == set(PROMISED.split())
    assert set(TRAINING) <= set(FLAGS) and set(MACHINE) < set(TRAINING)


def test_an_option_has_the_help_the_panel_and_the_default_of_its_field() -> None:
    shown = dict(shown_fields())
    assert shown.keys() == FLAGS.keys()
    for name, field in shown_fields():
        flag, default = FLAGS[name], field.get_default(call_default_factory=True)
        assert flag.help == field.description and flag.help.endswith("."), name
        assert flag.panel == field.json_schema_extra["panel"]
        if field.is_required() or default is None or default is False or default == []:
            assert flag.default == ""
        else:
            assert flag.default == str(getattr(default, "name", default)), name


def test_an_option_reads_what_its_field_takes() -> None:
    kinds = {name: FLAGS[name].kind for name in ("epochs", "gpus", "exist_ok", "points", "effort", "scheduler")}
    assert kinds == {
        "epochs": int,
        "gpus": float,
        "exist_ok": bool,
        "points": list[str],
        "effort": str,
        "scheduler": str,
    }


def test_pairs_that_fill_settings_are_named_as_ultralytics_names_them() -> None:
    assert ultralytics_defaults().keys() >= ULTRALYTICS_NAMES
    assert Settings.model_fields.keys() >= ULTRALYTICS_NAMES


# --- what is given -----------------------------------------------------------------------------------------------


def test_without_options_the_preset_stands() -> None:
    assert settings_of() == make_settings(data="d.yaml")


def test_the_command_of_the_guide() -> None:
    found = settings_of(data="path/to/data.yaml", project="my_project", concurrent=2)
    assert (found.data, found.project, found.concurrent) == ("path/to/data.yaml", "my_project", 2)


def test_zero_is_a_value_and_not_a_missing_option() -> None:
    found = settings_of(seed=0, gpus=0.0)
    assert (found.seed, found.gpus) == (0, 0.0)


def test_early_stopping_options_change_one_number_each() -> None:
    found = settings_of(
        grace_period=40.0, reduction_factor=1.5, brackets=2, plateau_num_results=10, plateau_grace_period=20.0
    )
    assert found.scheduler == AshaSettings(grace_period=40, reduction_factor=1.5, brackets=2)
    assert found.plateau == PlateauSettings(rule="patience", num_results=10, grace_period=20)


def test_halving_takes_the_numbers_of_the_rungs_and_its_batch() -> None:
    found = settings_of(scheduler="halving", grace_period=5.0, halving_batch=6)
    assert found.scheduler == HalvingSettings(grace_period=5, batch=6)


def test_numbers_that_the_chosen_scheduler_does_not_take_are_refused_by_their_names() -> None:
    said = refusal(scheduler="halving", brackets=2, epochs=0)
    assert "scheduler.brackets: halving takes no brackets. Fix: leave it out; scheduler asha takes it." in said
    assert "epochs: got 0" in said, "all at once"
    assert "scheduler.batch: asha takes no batch" in refusal(halving_batch=4)


def test_a_scheduler_that_nobody_has_registered_is_refused_by_the_settings() -> None:
    assert "no scheduler is called 'ashaa'. Did you mean asha?" in refusal(scheduler="ashaa")


def test_a_scheduler_of_others_is_taken_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Median(SchedulerSettings):
        name: Literal["median"] = "median"

    monkeypatch.setattr(scheduling, "_KNOWN", dict(scheduling._KNOWN))
    scheduling.register_scheduler_settings(Median)
    assert settings_of(scheduler="median").scheduler == Median()
    assert "median takes no grace_period" in refusal(scheduler="median", grace_period=3.0)


def test_names_of_samplers_and_trackers_are_left_to_the_check() -> None:
    found = settings_of(search="mine", tracker="mlflow")
    assert (found.search, found.tracker) == ("mine", "mlflow")


def test_no_trial_is_stopped_by_its_own_curve_unless_an_option_says_so() -> None:
    assert settings_of().plateau is None
    assert settings_of(plateau_metric="seg_metrics/F1").plateau == PlateauSettings(metric="seg_metrics/F1")


def test_the_option_of_the_guides_rule_brings_the_rule() -> None:
    assert settings_of(plateau_std=0.02).plateau == PlateauSettings(rule="std", std=0.02)


@pytest.mark.parametrize("flags", [{"no_asha": True}, {"scheduler": "none"}, {"no_asha": True, "scheduler": "none"}])
def test_early_stopping_is_switched_off(flags: dict[str, Any]) -> None:
    found = settings_of(preset="guide", no_plateau=True, **flags)
    assert found.scheduler == NoScheduler() and found.plateau is None


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"grace_period": 5.0, "no_asha": True}, "--grace-period: given together with --no-asha"),
        ({"grace_period": 5.0, "scheduler": "none"}, "--grace-period: given together with --scheduler none"),
        ({"scheduler": "halving", "no_asha": True}, "--scheduler: given together with --no-asha"),
        ({"plateau_std": 0.1, "no_plateau": True}, "--plateau-std: given together with --no-plateau"),
        ({"no_plateau": True, "plateau_metric": "val/seg_loss"}, "--plateau-metric: given together with --no-plateau"),
    ],
)
def test_a_number_for_what_is_switched_off_is_refused(flags: dict[str, Any], named: str) -> None:
    assert named in refusal(**flags)
    assert named in refusal(**dict(reversed(flags.items())))


def test_all_contradictions_are_told_at_once() -> None:
    said = refusal(rank="best", brackets=2, no_asha=True, plateau_std=0.1, no_plateau=True)
    assert [line.split(":")[0] for line in said.splitlines()] == ["--brackets", "--plateau-std", "--rank"]


def test_top_without_an_earlier_study_is_refused() -> None:
    assert "--top: no earlier study is asked for points" in refusal(top=5)
    assert settings_of(top=5, warm_start=["runs/tune/a", "runs/tune/b"]).warm_start == ["runs/tune/a", "runs/tune/b"]


# --- words -------------------------------------------------------------------------------------------------------


def test_trailing_pairs_are_fixed_arguments_read_as_yaml() -> None:
    found = settings_of("cache=disk", "nbs=32", "weight_decay=1e-3", "cos_lr=true", "freeze=[0, 1]", "classes=")
    assert {name: found.train[name] for name in ("cache", "nbs", "weight_decay", "cos_lr", "freeze", "classes")} == {
        "cache": "disk",
        "nbs": 32,
        "weight_decay": 0.001,
        "cos_lr": True,
        "freeze": [0, 1],
        "classes": "",
    }


def test_pairs_in_ultralytics_own_words_fill_the_settings() -> None:
    found = settings_of("imgsz=320", "epochs=12", "device=0", "name=7", "exist_ok=true")
    assert (found.imgsz, found.epochs, found.device, found.name, found.exist_ok) == (320, 12, "0", "7", True)
    assert "imgsz" not in found.train


def test_data_may_be_a_pair_and_a_pair_that_contradicts_an_option_is_refused() -> None:
    assert settings_of("data=other.yaml", data=None).data == "other.yaml"
    assert settings_of("epochs=12", epochs=12).epochs == 12
    said = refusal("epochs=12", "imgsz=32", epochs=40, imgsz=64)
    assert "epochs=12: given together with --epochs 40." in said and "imgsz=32: given together with --imgsz 64." in said


def test_single_ranges_are_set_and_dropped() -> None:
    found = settings_of(set=["lr0=loguniform(1e-4, 1e-2)", "cutmix="])
    assert found.domains["lr0"].ends() == (1e-4, 1e-2) and "cutmix" not in found.domains
    for word in ("lr0", "=1"):
        assert "expected NAME=RANGE" in refusal(set=[word])


def test_a_study_file_and_pairs_come_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("data: d.yaml\nepochs: 30\nimgsz: 320\n", encoding="utf-8")
    for words in ([str(file), "nbs=32"], ["nbs=32", str(file)]):
        found = settings_of(*words, epochs=12)
        assert (found.epochs, found.imgsz, found.train["nbs"]) == (12, 320, 32)


def test_points_are_files() -> None:
    assert settings_of(points=["a.yaml", "b.yaml"]).points == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("words", "flags", "named"),
    [
        (["a.yaml", "b.yaml"], {}, "one study file at most"),
        (["freeze=[0"], {}, "freeze=[0"),
        (["nowhere.yaml"], {}, "nowhere.yaml: there is no such file"),
        ([], {"data": None}, "give --data path/to/data.yaml"),
        ([], {"space": "nowhere.yaml"}, "nowhere.yaml: there is no such file"),
    ],
)
def test_a_command_line_that_says_nothing_useful_is_refused(
    words: list[str], flags: dict[str, Any], named: str
) -> None:
    assert named in refusal(*words, **flags)


def test_what_is_given_beside_a_folder_changes_the_settings_of_its_study(tmp_path: Path) -> None:
    recorded = make_settings(data="d.yaml", epochs=30, scheduler={"name": "halving", "batch": 4})
    write_yaml(tmp_path / "study.yaml", {"schema": SCHEMA, "uid": "abcdef01", **recorded.model_dump()})
    changed = parse_settings(["nbs=32"], {"num_samples": 80, "grace_period": 3.0}, tmp_path)
    assert (changed.epochs, changed.num_samples, changed.train["nbs"]) == (30, 80, 32)
    assert changed.scheduler == HalvingSettings(grace_period=3, batch=4)
    with pytest.raises(UserError, match="one study file at most"):
        parse_settings(["study.yaml"], {}, tmp_path)
    with pytest.raises(UserError, match="nowhere: no study here: there is no such folder"):
        parse_settings([], {}, tmp_path / "nowhere")
