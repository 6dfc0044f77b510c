"""The presets: the guide's to the letter, and the default one, which says why it differs."""

from __future__ import annotations

import pytest

from yolotune.config.flags import flags
from yolotune.config.layers import PRESETS, make_settings, preset_text, read_preset
from yolotune.config.scheduling import AshaSettings, PlateauSettings
from yolotune.config.settings import Settings
from yolotune.config.space import parse_domain
from yolotune.tuner.settings_checks import check_settings

#: The guide's section "Search Space Configuration", as it stands there.
GUIDE = {
    "lr0": "tune.loguniform(1e-5, 1e-1)",
    "lrf": "tune.uniform(0.01, 1.0)",
    "momentum": "tune.uniform(0.6, 0.98)",
    "weight_decay": "tune.uniform(0.0, 0.005)",
    "optimizer": 'tune.choice(["AdamW"])',
    "warmup_epochs": "tune.randint(0, 5)",
    "warmup_momentum": "tune.uniform(0.00, 0.95)",
    "box": "tune.uniform(5.0, 8.0)",
    "cls": "tune.uniform(1.0, 3.0)",
    "dropout": "tune.uniform(0.0, 0.1)",
    "fliplr": "tune.uniform(0.0, 0.5)",
    "hsv_h": "tune.uniform(0.0, 0.5)",
    "hsv_s": "tune.uniform(0.0, 0.5)",
    "hsv_v": "tune.uniform(0.0, 0.5)",
    "degrees": "tune.uniform(0.0, 10.0)",
    "translate": "tune.uniform(0.0, 0.25)",
    "scale": "tune.uniform(0.0, 0.5)",
    "perspective": "tune.uniform(0.0, 0.1)",
    "mosaic": "tune.uniform(0.7, 1.0)",
    "copy_paste": "tune.uniform(0.0, 0.3)",
    "cutmix": "tune.uniform(0.0, 0.3)",
    "batch": "tune.choice([16, 32, 64])",
}


def test_the_preset_guide_is_the_guide_to_the_letter() -> None:
    settings = make_settings(data="d.yaml", preset="guide")
    assert settings.domains == {name: parse_domain(written) for name, written in GUIDE.items()}
    assert not settings.parsed[1] and not settings.parsed[2] and not settings.train
    assert (settings.epochs, settings.trials, settings.metric, settings.direction) == (250, 50, "seg_metrics/F1", "max")
    assert settings.scheduler == AshaSettings(grace_period=25, reduction_factor=2, brackets=1, rank="current")
    assert settings.plateau == PlateauSettings(
        rule="std", metric="train_seg_metrics/F1", std=0.01, num_results=5, grace_period=10
    )


def test_the_default_preset_searches_the_names_of_the_guide_without_the_inert_one() -> None:
    settings = make_settings(data="d.yaml")
    assert settings.preset == "yolo11-seg"
    assert settings.domains.keys() == GUIDE.keys() - {"dropout"}
    assert settings.fixed["warmup_bias_lr"] == 0.0 and settings.fixed["close_mosaic"] == 25


def test_each_deviation_from_the_guide_stands_on_a_line_with_its_reason() -> None:
    text = preset_text("yolo11-seg")
    lines = {line.split(":")[0].strip(): line for line in text.splitlines() if line.startswith("  ")}
    for name, domain in make_settings(data="d.yaml").domains.items():
        if domain != parse_domain(GUIDE[name]):
            assert "#" in lines[name], name


def test_the_default_preset_does_not_contradict_the_defaults_that_the_help_shows() -> None:
    preset = make_settings(data="d.yaml")
    own = Settings(data="d.yaml", space=preset.space)
    for flag in flags():
        if flag.name in ("space", "data") or flag.block == "plateau":  # no default, or no rule
            continue
        of_preset, of_field = (
            getattr(settings.scheduler if flag.block else settings, flag.field, None) for settings in (preset, own)
        )
        assert of_preset == of_field, flag.name


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_no_problems_and_no_setting_that_is_not_there(preset: str) -> None:
    assert read_preset(preset).keys() <= Settings.model_fields.keys()
    assert check_settings(make_settings(data="d.yaml", preset=preset)) == []


def test_what_is_searched_and_fixed_at_once_is_refused() -> None:
    problems = check_settings(make_settings(data="d.yaml", space={"mosaic": [0, 1]}, train={"mosaic": 0.5}))
    assert "mosaic: is searched and fixed at the same time." in str(problems[0])
