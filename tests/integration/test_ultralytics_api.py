"""What is relied on of Ultralytics is there; `make test-latest` runs this with its newest version."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from yolotune.config.isolation import INTEGRATIONS, SETTINGS_VERSION, isolate
from yolotune.training import ultralytics_api as api
from yolotune.training.reliance import Attributes, Relied, Signature, Source

ROOT = Path(__file__).parents[2]
TRAINER = "ultralytics.engine.trainer:BaseTrainer"


def name_of(item: Relied) -> str:
    return f"{type(item).__name__} {item.where}"


@pytest.mark.parametrize("item", api.RELIED_ON, ids=name_of)
def test_ultralytics_has_what_is_relied_on(item: Relied) -> None:
    assert api.problem_of(item) is None


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (Signature(f"{TRAINER}.validate", "split"), "validate takes (), expected (split)"),
        (Signature(f"{TRAINER}.build_dataset", "mode img_path"), "takes (img_path mode batch)"),
        (Signature(f"{TRAINER}.run_callbacks"), "takes (event), expected ()"),
        (Signature(f"{TRAINER}.evaluate"), "no attribute 'evaluate'"),
        (Signature("ultralytics.engine.teacher:Teacher"), "No module named"),
        (Attributes(TRAINER, "epoch epooch"), "has no epooch"),
        (Source(f"{TRAINER}.train", "the order", ("unset_deterministic", "_do_train")), "has no '_do_train'"),
    ],
)
def test_what_has_changed_is_said(item: Relied, problem: str) -> None:
    assert problem in (api.problem_of(item) or "")


def test_all_that_is_missing_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.missing() == []
    monkeypatch.setattr(api, "RELIED_ON", (*api.RELIED_ON, Attributes(TRAINER, "epooch")))
    assert api.missing() == [f"{TRAINER} has no epooch"]


def test_callbacks_can_be_given_to_every_event_of_a_training() -> None:
    from ultralytics.utils.callbacks.base import default_callbacks

    assert set(api.EVENTS) <= default_callbacks.keys()
    assert api.check_events(api.EVENTS) == []
    (problem,) = api.check_events(["on_train_start", "on_fit_epoch"])
    assert problem.what == "no training has an event 'on_fit_epoch'. Did you mean on_fit_epoch_end?"


def test_the_private_settings_are_complete() -> None:
    """Otherwise Ultralytics resets them to its defaults, which switch integrations on."""
    import json

    from ultralytics.utils import SETTINGS

    written = json.loads((isolate() / "settings.json").read_text())
    assert written.keys() == SETTINGS.defaults.keys()
    assert written["settings_version"] == SETTINGS_VERSION
    assert not [name for name in INTEGRATIONS if SETTINGS[name]]


def test_the_tested_range_is_the_declared_one() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"ultralytics>={api.OLDEST}" in wanted
    assert f"ultralytics=={api.NEWEST}" in (ROOT / "constraints.txt").read_text().splitlines()


@pytest.mark.parametrize(("installed", "newer"), [("8.4.99", False), (api.NEWEST, False), ("8.10.0", True)])
def test_a_newer_version_is_named(installed: str, newer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: installed)
    said = api.check_version()
    assert (said is not None) is newer
    assert not newer or f"Ultralytics {installed} is newer than {api.NEWEST}" in (said or "")
