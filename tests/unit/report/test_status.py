"""How a study stands, from events and from the record."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from yolotune._yaml import write_yaml
from yolotune.config.layers import make_settings
from yolotune.config.settings import Settings
from yolotune.record.folder import Holder
from yolotune.record.study import read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.report.status import document, summarize
from yolotune.report.tally import Best, OpenRung, Tally, expected_left
from yolotune.schedulers import resolve

F1, TRAIN_F1 = "seg_metrics/F1", "train_seg_metrics/F1"
POINT = {"lr0": 0.1}


def settings(**changes: Any) -> Settings:
    given = {"data": "d.yaml", "space": {"lr0": "uniform(0.0, 1.0)"}, "search": "tpe", "scheduler": "none"}
    return resolve(make_settings(**{**given, "num_samples": 6, "epochs": 10, "concurrent": 2, **changes}))


def tally(**changes: Any) -> Tally:
    return Tally(settings(**changes))


def train(account: Tally, number: int, values: list[float], verdict: Verdict | None = None, seconds: float = 2) -> None:
    account.started(number, POINT)
    for epoch, value in enumerate(values, start=1):
        account.reported(number, {"epoch": epoch, F1: value, TRAIN_F1: value + 0.1, "seconds": seconds})
    if verdict is not None:
        account.ended(number, verdict)


def test_nothing_is_known_before_the_first_epoch() -> None:
    account = tally()
    account.started(0, POINT)
    summary = account.summary()
    assert (summary.best, summary.defaults, summary.seconds_left, summary.ended) == (None, None, None, 0)
    (trial,) = summary.running
    assert (trial.epoch, trial.value, trial.train, trial.seconds_left) == (0, None, None, None)


def test_a_running_trial_is_shown_with_its_last_epoch() -> None:
    account = tally()
    train(account, 3, [0.1, 0.5, 0.25])
    (trial,) = account.summary().running
    assert (trial.trial, trial.epoch, trial.epochs, trial.value, trial.train) == (3, 3, 10, 0.25, 0.35)
    assert (trial.epoch_seconds, trial.seconds_left) == (2.0, 14.0)


def test_the_length_of_an_epoch_is_that_of_the_last_ones() -> None:
    account = tally()
    account.started(0, POINT)
    for epoch, seconds in enumerate([90, 1, 1, 1, 1, 1], start=1):
        account.reported(0, {"epoch": epoch, F1: 0.1, "seconds": seconds})
    assert account.summary().running[0].epoch_seconds == 1


def test_a_loss_is_compared_with_the_loss_of_the_training_split() -> None:
    account = tally(objective="val/seg_loss")
    account.started(0, POINT)
    account.reported(0, {"epoch": 1, "val/seg_loss": 2.0, "train/seg": 1.5})
    account.reported(0, {"epoch": 2, "val/seg_loss": 3.0, "train/seg": 1.0})
    summary = account.summary()
    assert (summary.running[0].value, summary.running[0].train) == (3.0, 1.0)
    assert summary.best == Best(0, 1, 2.0)


def test_the_best_epoch_counts_while_its_trial_still_runs_and_nan_never() -> None:
    account = tally()
    train(account, 0, [0.4, 0.3], Verdict.COMPLETED)
    train(account, 1, [0.2, 0.6, math.nan])
    summary = account.summary()
    assert (summary.best, summary.defaults) == (Best(1, 2, 0.6), 0.4)
    assert summary.running[0].value is None


def test_of_equal_epochs_the_last_of_a_trial_counts_and_of_equal_trials_the_first() -> None:
    account = tally()
    train(account, 0, [0.4, 0.4, 0.1])
    train(account, 1, [0.4])
    assert account.summary().best == Best(0, 2, 0.4)


def test_epochs_are_saved_by_rules_not_by_failures() -> None:
    account = tally()
    train(account, 0, [0.1] * 10, Verdict.COMPLETED)
    train(account, 1, [0.1] * 3, Verdict.PRUNED)
    train(account, 2, [0.1] * 8, Verdict.PLATEAUED)
    train(account, 3, [0.1], Verdict.DIVERGED)
    train(account, 4, [], Verdict.FAILED)
    train(account, 5, [0.1] * 4)
    summary = account.summary()
    assert (summary.epochs_trained, summary.epochs_saved, summary.ended) == (26, 7 + 2, 5)
    assert summary.verdicts == {"completed": 1, "pruned": 1, "plateaued": 1, "diverged": 1, "failed": 1}


def test_an_interrupted_trial_is_unfinished_until_it_goes_on_where_it_was() -> None:
    account = tally()
    train(account, 0, [0.1] * 4, Verdict.INTERRUPTED)
    assert (account.summary().ended, account.summary().unfinished) == (0, 1)
    account.started(0, POINT)
    assert account.summary().running[0].epoch == 4
    account.reported(0, {"epoch": 5, F1: 0.2, "seconds": 2})
    summary = account.summary()
    assert (summary.unfinished, summary.verdicts, summary.epochs_trained) == (0, {}, 5)


@pytest.mark.parametrize(("epoch", "left"), [(0, 4.5), (2, 5.0), (3, 4.0), (4, 6.0), (10, 10.0)])
def test_what_a_trial_has_before_it_is_known_from_those_that_got_further(epoch: int, left: float) -> None:
    assert expected_left([2, 2, 4, 10], epoch, 20) == left


def test_the_time_left_is_the_expected_epochs_shared_by_the_trials_of_a_time() -> None:
    account = tally()
    train(account, 0, [0.1] * 10, Verdict.COMPLETED)
    train(account, 1, [0.1] * 2, Verdict.PRUNED)
    train(account, 2, [0.1] * 4)
    # trial 2: only trial 0 got further than 4, 6 epochs; 3 trials wait, 6 epochs each on the average
    assert account.summary().seconds_left == pytest.approx((6 + 3 * 6) / 2 * 2)


def test_the_last_trial_is_not_shared() -> None:
    account = tally(num_samples=2)
    train(account, 0, [0.1] * 10, Verdict.COMPLETED)
    train(account, 1, [0.1] * 4)
    assert account.summary().seconds_left == pytest.approx(6 * 2)


def test_until_a_trial_has_ended_the_forecast_stands_for_the_others() -> None:
    account = tally()
    assert account.summary().seconds_left is None, "no epoch has been timed"
    train(account, 0, [0.1] * 4)
    assert account.summary().seconds_left == pytest.approx((6 * 10 - 4) / 2 * 2)


def test_a_budget_in_epochs_bounds_what_is_left() -> None:
    account = tally(budget="20")
    train(account, 0, [0.1] * 10, Verdict.COMPLETED)
    train(account, 1, [0.1] * 4)
    assert account.summary().seconds_left == pytest.approx((20 - 14) / 2 * 2)


def recorded(folder: Path, **changes: Any) -> Path:
    """Writes a study of four trials: completed, pruned, interrupted, and one that has not ended."""
    record = RecordWriter(folder / "study", metric=F1, mode="max", uid="abcdef01")
    record.create(settings(**changes).model_dump(), {})
    verdicts = (Verdict.COMPLETED, Verdict.PRUNED, Verdict.INTERRUPTED, None)
    for number, verdict in enumerate(verdicts):
        record.start(number, POINT)
        for epoch in range(1, number + 2):
            record.append(number, {"epoch": epoch, F1: 0.1 * number, "seconds": 2.0})
        if verdict is not None:
            record.end(number, Ending(verdict, "r"), {})
    return record.folder


def test_a_record_stands_as_the_events_that_made_it(tmp_path: Path) -> None:
    study = read_study(recorded(tmp_path))
    works = summarize(study, running=True)
    assert [trial.trial for trial in works.running] == [3]
    assert (works.planned, works.ended, works.unfinished, works.epochs_trained, works.epochs_saved) == (6, 2, 1, 10, 8)
    assert works.best == Best(3, 4, pytest.approx(0.3))
    assert works.seconds_left is not None
    rests = summarize(study, running=False)
    assert (rests.running, rests.unfinished, rests.seconds_left) == ((), 2, None)


def test_a_paused_trial_is_neither_running_nor_left() -> None:
    account = tally(scheduler={"name": "halving", "batch": 3, "grace_period": 1})
    train(account, 0, [0.1, 0.2])
    assert account.summary().rungs == (OpenRung(0, 1, 1, 3),)
    account.paused(0)
    train(account, 1, [0.3])
    summary = account.summary()
    assert [trial.trial for trial in summary.running] == [1]
    (paused,) = summary.paused
    assert (paused.trial, paused.epoch, paused.value) == (0, 2, 0.2)
    assert (summary.unfinished, summary.ended, summary.rungs) == (0, 0, (OpenRung(0, 1, 2, 3),))
    account.resumed(0)
    assert account.summary().paused == () and account.summary().running[0].value == 0.2
    account.paused(0)
    account.ended(0, Verdict.INTERRUPTED)
    assert account.summary().unfinished == 1


def test_the_record_knows_who_is_paused_as_long_as_somebody_works_on_it(tmp_path: Path) -> None:
    folder = recorded(tmp_path, scheduler="halving")
    trial = folder / "trials" / "0003"
    write_yaml(trial / "ended.yaml", {"schema": 1, "verdict": "paused", "best": {}})
    study = read_study(folder)
    works, rests = summarize(study, running=True), summarize(study, running=False)
    assert [trial.trial for trial in works.paused] == [3] and works.running == ()
    assert works.rungs and document(study, works, None)["paused"][0]["trial"] == 3
    assert (rests.paused, rests.rungs, rests.unfinished) == ((), (), 2)


def test_the_shape_for_scripts_is_stable(tmp_path: Path) -> None:
    study = read_study(recorded(tmp_path))
    lines = ['{"at": "2026-11-23T22:12:10+0000", "open": 2, "why": "two fit"}', "torn", '{"open": "x"}', "[]"]
    (study.folder / "slots.jsonl").write_text("\n".join(lines))
    said = json.loads(
        json.dumps(document(study, summarize(study, running=True), Holder(7, "here", "2026-11-23 22:12:05")))
    )
    assert said.pop("seconds_left") > 0
    assert said == {
        "schema": 1,
        "folder": str(tmp_path / "study"),
        "objective": "metrics/F1(M)",
        "mode": "max",
        "process": {"pid": 7, "host": "here", "since": "2026-11-23 22:12:05"},
        "trials": {
            "planned": 6,
            "ended": 2,
            "running": 1,
            "paused": 0,
            "unfinished": 1,
            "verdicts": {
                "completed": 1,
                "pruned": 1,
                "plateaued": 0,
                "diverged": 0,
                "oom": 0,
                "failed": 0,
                "interrupted": 1,
            },
        },
        "epochs": {"full": 10, "trained": 10, "saved": 8, "expected": 60, "budget": None},
        "slots": [{"at": "2026-11-23T22:12:10+0000", "open": 2, "why": "two fit"}],
        "warm_from": [],
        "best": {"trial": 3, "epoch": 4, "value": pytest.approx(0.3)},
        "defaults": 0.0,
        "running": [
            {
                "trial": 3,
                "epoch": 4,
                "epochs": 10,
                "value": pytest.approx(0.3),
                "train": None,
                "epoch_seconds": 2.0,
                "seconds_left": 12.0,
            }
        ],
        "paused": [],
        "rungs": [],
    }


def test_a_study_of_a_scheduler_that_is_not_registered_has_no_forecast(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    file = folder / "study.yaml"
    file.write_text(file.read_text().replace("name: none", "name: median"))
    study = read_study(folder)
    works = summarize(study, running=True)
    assert (works.planned, works.expected, works.ended) == (6, None, 2)
    assert document(study, works, None)["epochs"]["expected"] is None


def test_points_of_earlier_studies_are_listed(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    file = folder / "study.yaml"
    warm = "warm_points: [{lr0: 0.1}]\nwarm_from: [{study: s, folder: /f, trial: 4, value: 0.6, same_data: true}]\n"
    file.write_text(warm + file.read_text())
    study = read_study(folder)
    assert document(study, summarize(study, running=False), None)["warm_from"] == [
        {"study": "s", "folder": "/f", "trial": 4, "value": 0.6, "same_data": True, "by": "warm_start"}
    ]
