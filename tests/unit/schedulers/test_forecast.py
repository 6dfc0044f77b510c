"""What a study is expected to cost, against studies that the product's own rungs decide."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from yolotune.config.layers import make_settings
from yolotune.config.scheduling import AshaSettings, HalvingSettings, NoScheduler
from yolotune.config.settings import Settings
from yolotune.record.verdict import Verdict
from yolotune.schedulers import CONTINUE, Asha, Report, SuccessiveHalving, forecast, planned_trials, resolve, trials_for
from yolotune.schedulers.forecast import Rules

F1 = "seg_metrics/F1"


def study_of(epochs: int, trials: int, name: str = "asha", *, seed: int = 0, **numbers: Any) -> Settings:
    scheduler = {"name": name, **numbers}
    return Settings(
        data="d.yaml", space={}, epochs=epochs, num_samples=trials, seed=seed, search="random", scheduler=scheduler
    )


def trial_costs(told: Settings, seed: int, *, worse: bool = False) -> tuple[list[int], list[bool]]:
    """Returns the epochs of each trial of a study, and whether it is cut at its first rung.

    Args:
        told: The settings. Every trial is as good at each epoch, so only the rungs are looked at.
        seed: Of the scores.
        worse: Whether each trial is worse than all before it instead.
    """
    scheduler, rng = Asha(told), random.Random(seed)
    epochs, first = [], []
    for number in range(told.trials):
        score = -number if worse else rng.random()
        bracket = scheduler.bracket_of(number)
        at_rungs = sorted({milestone for milestone in bracket.milestones if milestone < told.epochs})
        end = next((epoch for epoch in at_rungs if bracket.judge(number, epoch, (score,))), told.epochs)
        epochs.append(end)
        first.append(end in at_rungs[:1])
    return epochs, first


@pytest.mark.parametrize(("trials", "studies"), [(4, 200), (20, 150), (60, 50)])  # the fewer trials, the more chance
@pytest.mark.parametrize(
    ("epochs", "numbers"),
    [
        (30, {"grace_period": 3, "reduction_factor": 2}),
        (24, {"grace_period": 5, "reduction_factor": 1.5}),
        (60, {"grace_period": 2, "reduction_factor": 4}),
        (30, {"grace_period": 3, "reduction_factor": 2, "brackets": 3}),
    ],
)
def test_trials_as_good_at_every_rung_cost_what_is_said(
    epochs: int, numbers: dict[str, Any], trials: int, studies: int
) -> None:
    told = study_of(epochs, trials, **numbers)
    seeds = range(studies)  # of the scores, and of the draw of brackets
    played = np.array([trial_costs(told.model_copy(update={"seed": seed}), seed) for seed in seeds])
    costs, cuts = played.sum(axis=2).mean(axis=0)
    found = forecast(told)
    assert costs == pytest.approx(found.expected, rel=0.12 if "brackets" in numbers else 0.07)
    assert cuts == pytest.approx(found.cut_first, rel=0.03, abs=0.5)


@settings(max_examples=40, deadline=None)
@given(
    epochs=st.integers(1, 40),
    grace=st.integers(1, 12),
    factor=st.sampled_from([1.5, 2, 3, 4]),
    trials=st.integers(1, 25),
    seed=st.integers(0, 2**32),
)
def test_no_study_leaves_the_range(epochs: int, grace: int, factor: float, trials: int, seed: int) -> None:
    assume(grace <= epochs)
    told = study_of(epochs, trials, grace_period=grace, reduction_factor=factor)
    found = forecast(told)
    assert found.least <= sum(trial_costs(told, seed)[0]) <= found.most == trials * epochs
    assert found.least <= round(found.expected) <= found.most
    assert sum(trial_costs(told, seed, worse=True)[0]) == found.least
    assert all(grace <= rung < epochs for rung in found.rungs)
    assert found.rungs == tuple(sorted(rung for rung in Asha(told).brackets[0].milestones if rung < epochs))


@settings(max_examples=40, deadline=None)
@given(
    grace=st.one_of(st.none(), st.integers(1, 30)),
    factor=st.sampled_from([1.5, 2, 3.5]),
    brackets=st.integers(1, 3),
    learns=st.booleans(),
    budget=st.integers(30, 20_000),
)
def test_a_budget_carries_as_many_trials_as_are_expected_to_fit(
    grace: int | None, factor: float, brackets: int, learns: bool, budget: int
) -> None:
    rules = Rules(30, grace, factor, brackets, learns=learns)
    costs = [rules.forecast(trials).expected for trials in range(1, 40)]
    assert costs == sorted(costs)
    trials = rules.trials_for(budget)
    assert rules.forecast(trials).expected <= budget or trials == 1
    assert rules.forecast(trials + 1).expected > budget


@settings(max_examples=40, deadline=None)
@given(
    epochs=st.integers(1, 40),
    grace=st.integers(1, 12),
    factor=st.sampled_from([1.5, 2, 3, 4]),
    batch=st.integers(2, 10),
    trials=st.integers(1, 25),
    seed=st.integers(0, 2**32),
)
def test_what_halving_costs_is_known(
    epochs: int, grace: int, factor: float, batch: int, trials: int, seed: int
) -> None:
    assume(grace <= epochs)
    told = study_of(epochs, trials, "halving", grace_period=grace, reduction_factor=factor, batch=batch)
    rules, found, rng = SuccessiveHalving(told), forecast(told), random.Random(seed)
    trained: dict[int, int] = {}
    cut_first = 0
    while turn := rules.next_turn(()):
        number, ending = turn.number, turn.ending
        while ending is None and trained.get(number, 0) < epochs:
            trained[number] = trained.get(number, 0) + 1
            decision = rules.judge(Report(number, {}, trained[number], {F1: rng.random()}))
            ending = decision.ending
            if decision != CONTINUE:
                break
        if ending is not None:
            cut_first += trained[number] == found.rungs[0]
            rules.end(number, Verdict.PRUNED)
        elif trained[number] == epochs:
            rules.end(number, Verdict.COMPLETED)
    assert (sum(trained.values()), cut_first) == (found.expected, found.cut_first)
    assert found.least == found.expected <= found.most
    assert found.rungs == rules.milestones


def test_without_rungs_the_cost_is_known() -> None:
    for found in (Rules(30).forecast(7), forecast(study_of(30, 7, "none"))):
        assert (found.expected, found.least, found.most, found.rungs, found.cut_first) == (210, 210, 210, (), 0)
        assert found.exact
    assert [Rules(30).trials_for(budget) for budget in (1, 239, 240, 300, 329, 330)] == [1, 7, 8, 10, 10, 11]


def test_no_trial_costs_nothing() -> None:
    found = Rules(30, 3).forecast(0)
    assert (found.expected, found.least, found.most) == (0, 0, 0)


def test_the_first_comer_passes_and_half_of_the_others() -> None:
    found = [Rules(30, 20).forecast(trials) for trials in (1, 2, 9, 400)]
    assert [one.cut_first for one in found] == pytest.approx([0, 0.5, 4, 200], rel=0.1)
    assert [one.expected for one in found] == pytest.approx([30, 55, 230, 10_000], rel=0.02)


def test_a_sampler_that_learns_costs_more_but_not_in_its_first_trials() -> None:
    chance, learned = Rules(30, 3), Rules(30, 3, learns=True)
    assert learned.forecast(10) == chance.forecast(10)
    assert learned.forecast(50).expected > 1.1 * chance.forecast(50).expected
    assert learned.forecast(50).expected < 50 * 30


@pytest.mark.parametrize(("search", "learns"), [("tpe", True), ("auto", True), ("random", False), ("grid", False)])
def test_the_rules_of_a_study_are_read_from_its_settings(search: str, learns: bool) -> None:
    told = study_of(100, 50, grace_period=0.15, reduction_factor=3, brackets=2).model_copy(update={"search": search})
    assert Rules.of(told) == Rules(100, 15, 3.0, 2, None, learns)
    halved = study_of(100, 50, "halving", grace_period=0.1, reduction_factor=3, batch=6)
    assert Rules.of(halved) == Rules(100, 10, 3.0, 1, 6, False)
    assert forecast(told) == Rules.of(told).forecast(50)
    assert trials_for(told, 2000) == Rules.of(told).trials_for(2000)


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
    for one in (resolved(budget="2000"), resolved(effort="quick"), resolved(scheduler=None)):
        assert resolve(one) == one


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
