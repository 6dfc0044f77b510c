"""A scheduler is found by its settings, and another one is registered with one call."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from yolotune.config import scheduling
from yolotune.config.scheduling import SchedulerSettings
from yolotune.config.settings import Settings, recorded_settings
from yolotune.errors import UserError
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers import (
    CONTINUE,
    Action,
    Asha,
    Decision,
    PausingScheduler,
    Report,
    SuccessiveHalving,
    base,
    make_scheduler,
    register_scheduler,
    resolve,
    stop,
)

F1 = "seg_metrics/F1"


def settings_with(scheduler: object) -> Settings:
    return resolve(Settings(data="d.yaml", space={}, epochs=20, scheduler=scheduler))


class FloorSettings(SchedulerSettings):
    name: Literal["floor"] = "floor"
    least: float = 0.1


class Floor:
    """Stops a trial whose objective is below a fixed value."""

    def __init__(self, settings: Settings) -> None:
        assert isinstance(settings.scheduler, FloorSettings)
        self._least = settings.scheduler.least

    def judge(self, report: Report) -> Decision:
        below = report.row[F1] < self._least
        return stop(Verdict.PRUNED, f"below {self._least:g}") if below else CONTINUE

    def end(self, number: int, verdict: Verdict) -> None: ...

    def rebuild(self, trials: Sequence[TrialRecord]) -> None: ...


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(base, "_FACTORIES", dict(base._FACTORIES))
    monkeypatch.setattr(scheduling, "_KNOWN", dict(scheduling._KNOWN))
    register_scheduler(FloorSettings, Floor)
    yield


@pytest.mark.usefixtures("floor")
def test_a_scheduler_that_is_registered_is_named_in_settings_and_made_from_them() -> None:
    settings = settings_with({"name": "floor", "least": 0.3})
    scheduler = make_scheduler(settings)
    assert isinstance(scheduler, Floor)
    assert scheduler.judge(Report(0, {}, 1, {F1: 0.2})) == Decision(Action.STOP, Ending(Verdict.PRUNED, "below 0.3"))
    assert scheduler.judge(Report(0, {}, 1, {F1: 0.4})) == CONTINUE
    again = recorded_settings(settings.model_dump())
    assert isinstance(make_scheduler(again), Floor)


def test_a_record_of_a_scheduler_that_is_not_registered_is_refused_with_the_reason() -> None:
    settings = recorded_settings({"data": "d.yaml", "space": {}, "scheduler": {"name": "floor", "least": 0.3}})
    with pytest.raises(UserError, match="no scheduler is registered as 'floor'"):
        make_scheduler(settings)


@pytest.mark.parametrize(("name", "kind"), [("asha", Asha), ("halving", SuccessiveHalving), (None, base.Fifo)])
def test_the_schedulers_that_come_along(name: str | None, kind: type) -> None:
    scheduler = make_scheduler(settings_with(name))
    assert type(scheduler) is kind
    assert isinstance(scheduler, PausingScheduler) == (name == "halving")


def test_without_a_scheduler_every_trial_continues() -> None:
    scheduler = make_scheduler(settings_with(None))
    for number, value in enumerate((0.9, 0.8, 0.0)):
        assert all(scheduler.judge(Report(number, {}, epoch, {F1: value})) == CONTINUE for epoch in range(1, 21))


@pytest.mark.parametrize("name", ["asha", "halving"])
def test_a_scheduler_is_brought_back_to_where_it_was_from_the_record(name: str) -> None:
    """Trial 3 is judged by one that saw trials 0 to 2, and by one that read them, some reports of it twice."""
    settings = settings_with({"name": name, "grace_period": 2, "reduction_factor": 2, "rank": "best"})
    rows = {number: [{"epoch": epoch, F1: value} for epoch in (1, 2)] for number, value in enumerate((0.5, 0.6, 0.7))}
    records = [TrialRecord(number, Path(), {}, kept, None, None, None) for number, kept in rows.items()]
    live, rebuilt = make_scheduler(settings), make_scheduler(settings)
    rebuilt.rebuild(records)
    for number, kept in rows.items():
        for row in kept:
            live.judge(Report(number, {}, row["epoch"], row))
    for repeated in rows[0]:
        rebuilt.judge(Report(0, {}, repeated["epoch"], repeated))
    last = [Report(3, {}, epoch, {F1: 0.1}) for epoch in (1, 2)]
    decisions = [[scheduler.judge(report) for report in last] for scheduler in (live, rebuilt)]
    assert decisions[0] == decisions[1]
    assert decisions[0][1].action is (Action.STOP if name == "asha" else Action.PAUSE)


def test_the_package_loads_neither_ray_nor_optuna_nor_torch() -> None:
    code = "import sys, yolotune.schedulers; print(*{name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ray", "optuna", "torch", "ultralytics", "wandb", "pandas"} & set(said)
