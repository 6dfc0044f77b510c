"""What is left open in the settings is resolved once, in the same way for every study."""

from __future__ import annotations

from typing import Any

import pytest

from yolotune.config.layers import make_settings
from yolotune.config.scheduling import AshaSettings, HalvingSettings, NoScheduler
from yolotune.config.settings import Settings
from yolotune.schedulers import forecast, planned_trials, resolve


def resolved(**given: Any) -> Settings:
    return resolve(make_settings(data="d.yaml", **given))


def rungs_of(settings: Settings) -> tuple[float | None, float | None]:
    assert isinstance(settings.scheduler, (AshaSettings, HalvingSettings))
    return settings.scheduler.grace_period, settings.scheduler.reduction_factor


@pytest.mark.parametrize(
    ("effort", "trials", "rungs"),
    [("quick", 20, (0.1, 3.0)), ("balanced", 50, (0.15, 2.0)), ("thorough", 100, (0.15, 2.0))],
)
def test_an_effort_chooses_what_is_not_given(effort: str, trials: int, rungs: tuple[float, float]) -> None:
    assert (resolved(effort=effort).trials, rungs_of(resolved(effort=effort))) == (trials, rungs)
    given = resolved(effort=effort, num_samples=7, scheduler={"reduction_factor": 4})
    assert (given.trials, rungs_of(given)) == (7, (rungs[0], 4.0))


def test_settings_without_effort_or_preset_are_those_of_a_balanced_one() -> None:
    settings = resolve(Settings(data="d.yaml", space={"lr0": "uniform(0, 1)"}))
    assert (settings.trials, rungs_of(settings)) == (50, (0.15, 2.0))


def test_short_trainings_are_not_judged_before_the_third_epoch_where_the_effort_chooses() -> None:
    assert rungs_of(resolved(effort="quick", epochs=20))[0] == 3
    assert rungs_of(resolved(effort="quick", epochs=2))[0] == 2
    assert rungs_of(resolved(effort="quick", epochs=20, scheduler={"grace_period": 1}))[0] == 1


def test_halving_has_numbers_of_its_own_and_none_needs_none() -> None:
    assert rungs_of(resolved(scheduler="halving")) == (0.1, 3.0)
    assert resolved(scheduler=None).scheduler == NoScheduler()
    assert resolved(scheduler=None).trials == 50


@pytest.mark.parametrize("scheduler", ["asha", "halving", None])
def test_a_budget_in_epochs_carries_as_many_trials_as_are_expected_to_fit(scheduler: str | None) -> None:
    settings = resolved(budget="2000", epochs=100, scheduler=scheduler)
    assert forecast(settings).expected <= 2000 < forecast(settings, settings.trials + 1).expected
    assert resolved(budget="8h", epochs=100, scheduler=scheduler).trials == 50, "hours say nothing about epochs"
    assert resolved(budget="2000", epochs=100, scheduler=scheduler, num_samples=3).trials == 3


def test_resolving_again_changes_nothing() -> None:
    for settings in (resolved(budget="2000"), resolved(effort="quick"), resolved(scheduler=None)):
        assert resolve(settings) == settings


@pytest.mark.parametrize(
    ("space", "planned"),
    [({"lr0": "uniform(0, 1)"}, 50), ({"batch": "choice([8, 16])", "warmup_epochs": "randint(0, 3)"}, 6)],
)
def test_no_more_trials_are_planned_than_a_space_has_points(space: dict[str, str], planned: int) -> None:
    settings = resolved(space=space)
    assert (planned_trials(settings), settings.trials) == (planned, 50)
    few = resolved(space=space, num_samples=2)
    assert planned_trials(few) == 2


def test_the_number_of_trials_is_not_known_before_it_is_resolved() -> None:
    with pytest.raises(ValueError, match="num_samples is None"):
        planned_trials(make_settings(data="d.yaml"))
