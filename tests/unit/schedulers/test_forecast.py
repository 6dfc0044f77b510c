"""What a study is expected to cost, against studies that the product's own rungs decide."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from yolotune.config.settings import Settings
from yolotune.record.verdict import Verdict
from yolotune.schedulers import CONTINUE, Asha, Report, SuccessiveHalving, forecast, trials_for
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
