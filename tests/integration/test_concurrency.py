"""`--concurrent auto`: how many trials at a time pay, measured with real trainings."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import psutil
import pytest
import yaml

from processes import finish, start, wait_for, write_study
from yolotune import concurrency
from yolotune.check import check
from yolotune.concurrency import Measured, chosen, most, settled
from yolotune.errors import UserError
from yolotune.plan import Listener, Resources
from yolotune.record import Verdict, read_study
from yolotune.study import Study, load_study


def measured(*rates: float) -> list[Measured]:
    return [Measured(2**power, rate, 1, 10) for power, rate in enumerate(rates)]


@pytest.mark.parametrize(
    ("rates", "wanted"), [([50], 1), ([50, 52], 1), ([50, 70, 71], 2), ([50, 70, 100, 99], 4), ([50, 30], 1)]
)
def test_more_trials_at_once_have_to_be_worth_it(rates: list[float], wanted: int) -> None:
    assert chosen(measured(*rates)) == wanted


def test_a_core_or_a_sixteenth_of_a_card_is_the_least_that_a_trial_gets() -> None:
    assert most(Resources(0, 8, 0, 8)) == 8
    assert most(Resources(1, 64, 1, 64)) == 16
    assert most(Resources(2, 4, 2, 4)) == 4


@pytest.mark.parametrize(("given", "wanted"), [("auto", "auto"), ("3", 3), (2, 2)])
def test_a_study_is_told_a_number_or_auto(given: str | int, wanted: str | int) -> None:
    assert Study(data="d", concurrent=given).concurrent == wanted


@pytest.mark.parametrize("given", [0, -1, "two", 1.5, True, "0"])
def test_anything_else_is_refused(given: object) -> None:
    with pytest.raises(UserError, match=r"concurrent: .*1 or more, or auto, is expected"):
        Study(data="d", concurrent=given)


def test_auto_measures_one_machine_and_no_cluster(shapes: Path) -> None:
    study = Study(data=str(shapes), model="yolo11n-seg.yaml", concurrent="auto", address="auto", wandb="disabled")
    with pytest.raises(UserError, match="concurrent: auto measures one machine"):
        check(study)


def test_a_training_that_fails_is_told_of_before_the_study_begins(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(Path(write_study(tmp_path, shapes, concurrent="auto", wandb="disabled")), {})
    monkeypatch.setattr(concurrency, "_words", lambda job: {"data": "nowhere"})
    with pytest.raises(UserError, match="concurrent: a first training failed: KeyError"):
        settled(check(study), Listener())
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_measurement_leaves_nothing(shapes: Path, tmp_path: Path, number: signal.Signals) -> None:
    places = tmp_path / "temporary"
    places.mkdir()
    wanted = write_study(tmp_path, shapes, concurrent="auto", wandb="disabled")
    driver = start(tmp_path, "run", wanted, TMPDIR=places)
    probes = wait_for(psutil.Process(driver.pid).children)
    os.kill(driver.pid, number)
    assert "Interrupted while measuring; nothing was begun." in finish(driver, 130)
    assert not psutil.wait_procs(probes, timeout=20)[1]
    assert not (tmp_path / "study").exists() and not list(places.glob("yolotune-measure-*"))


def test_a_study_measures_chooses_says_so_and_keeps_to_it(shapes: Path, tmp_path: Path) -> None:
    wanted = write_study(tmp_path, shapes, concurrent="auto", num_samples=2, epochs=2, wandb="disabled")
    said = finish(start(tmp_path, "run", wanted), seconds=500)
    found = re.search(
        r"auto chose (\d); images a second by trials at a time: 1: (\d+), 2: (\d+)", " ".join(said.split())
    )
    assert found, said
    best, one, two = map(int, found.groups())
    assert best == (2 if two > 1.1 * one else 1) or abs(two - 1.1 * one) < 1, "but for rounding"
    assert yaml.safe_load((tmp_path / "study" / "study.yaml").read_text())["concurrent"] == best
    trials = read_study(tmp_path / "study").trials
    assert [trial.verdict for trial in trials] == [Verdict.COMPLETED] * 2
