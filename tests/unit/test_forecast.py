"""What a study is expected to cost, against studies that the product's own rungs decide."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from yolotune.config.settings import Settings
from yolotune.record.study import Verdict
from yolotune.schedulers.asha import Halving
from yolotune.schedulers.forecast import Rules, forecast, trials_for
from yolotune.schedulers.halving import SuccessiveHalving, Word


def study_of(epochs: int, trials: int, seed: int = 0, **asha: Any) -> Settings:
    return Settings(data="d.yaml", epochs=epochs, num_samples=trials, seed=seed, search="random", asha=asha)


def came_out(study: Settings, seed: int, *, worse: bool = False) -> tuple[int, int]:
    """Returns the epochs of a study whose trials are as good at each epoch, and how many are cut at their first rung.

    Args:
        study: The settings.
        seed: Of the scores.
        worse: Whether each trial is worse than all before it instead.
    """
    rules, draw = Halving(study), random.Random(seed)
    epochs = first = 0
    for number in range(study.num_samples):
        score = -number if worse else draw.random()
        at_rungs = sorted(rules.bracket_of(number).milestones)
        for epoch in range(1, study.epochs + 1):
            epochs += 1
            if epoch < study.epochs and epoch in at_rungs and rules.bracket_of(number).judge(number, epoch, (score,)):
                first += epoch == at_rungs[0]
                break
    return epochs, first


@pytest.mark.parametrize("trials", [4, 20, 60])
@pytest.mark.parametrize(
    ("epochs", "asha"),
    [
        (30, {"grace_period": 3, "reduction_factor": 2}),
        (30, {"grace_period": 3, "reduction_factor": 3}),
        (24, {"grace_period": 5, "reduction_factor": 1.5}),
        (60, {"grace_period": 2, "reduction_factor": 4}),
        (30, {"grace_period": 3, "reduction_factor": 2, "brackets": 3}),
    ],
)
def test_trials_as_good_at_every_rung_cost_what_is_said(epochs: int, asha: dict[str, Any], trials: int) -> None:
    study = study_of(epochs, trials, **asha)
    seeds = range(150)  # of the scores; with several brackets of the study too, which draws who is in which
    studies = [study_of(epochs, trials, seed, **asha) if "brackets" in asha else study for seed in seeds]
    outcomes = np.array([came_out(one, seed) for one, seed in zip(studies, seeds, strict=True)])
    found = study.forecast()
    assert outcomes[:, 0].mean() == pytest.approx(found.expected, rel=0.12 if "brackets" in asha else 0.07)
    assert outcomes[:, 1].mean() == pytest.approx(found.cut_first, rel=0.02, abs=0.5)


@settings(max_examples=60, deadline=None)
@given(
    epochs=st.integers(1, 40),
    grace=st.integers(1, 12),
    factor=st.sampled_from([1.5, 2, 3, 4]),
    trials=st.integers(1, 25),
    seed=st.integers(0, 2**32),
)
def test_no_study_leaves_the_range(epochs: int, grace: int, factor: float, trials: int, seed: int) -> None:
    assume(grace <= epochs)
    study = study_of(epochs, trials, grace_period=grace, reduction_factor=factor)
    found = study.forecast()
    assert found.least <= came_out(study, seed)[0] <= found.most == trials * epochs
    assert found.least <= round(found.expected) <= found.most
    assert came_out(study, seed, worse=True)[0] == found.least
    assert all(grace <= rung < epochs for rung in found.rungs)


@settings(max_examples=60, deadline=None)
@given(
    grace=st.one_of(st.none(), st.integers(1, 30)),
    factor=st.floats(1.1, 6),
    brackets=st.integers(1, 3),
    learns=st.booleans(),
    budget=st.integers(30, 20_000),
)
def test_a_budget_carries_as_many_trials_as_are_expected_to_fit(
    grace: int | None, factor: float, brackets: int, learns: bool, budget: int
) -> None:
    rules = Rules(30, grace, factor, brackets, learns=learns)
    costs = [forecast(rules, trials).expected for trials in range(1, 60)]
    assert costs == sorted(costs)
    trials = trials_for(budget, lambda count: forecast(rules, count).expected)
    assert forecast(rules, trials).expected <= budget or trials == 1
    assert forecast(rules, trials + 1).expected > budget


@settings(max_examples=60, deadline=None)
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
    asha = {"grace_period": grace, "reduction_factor": factor, "batch": batch}
    study = Settings(data="d.yaml", epochs=epochs, num_samples=trials, scheduler="halving", asha=asha)
    rules, draw = SuccessiveHalving(study), random.Random(seed)
    spent = cut_first = 0
    at: dict[int, int] = {}
    while turn := rules.turn(()):
        if turn.cut:
            rules.end(turn.number, Verdict.PRUNED)
            cut_first += at[turn.number] == study.forecast().rungs[0]
            continue
        rules.begin(turn.number)
        while rules.word(turn.number) is Word.TRAIN and at.get(turn.number, 0) < epochs:
            at[turn.number] = at.get(turn.number, 0) + 1
            rules.report(turn.number, at[turn.number], draw.random())
            spent += 1
        if at[turn.number] == epochs:
            rules.end(turn.number, Verdict.COMPLETED)
    found = study.forecast()
    assert (spent, cut_first) == (found.expected, found.cut_first)
    assert found.least == found.expected <= found.most
    assert found.rungs == rules.milestones


def test_without_rungs_the_cost_is_known() -> None:
    found = forecast(Rules(30), 7)
    assert (found.expected, found.least, found.most, found.rungs, found.cut_first) == (210, 210, 210, (), 0)


def test_no_trial_costs_nothing() -> None:
    found = forecast(Rules(30, 3), 0)
    assert (found.expected, found.least, found.most) == (0, 0, 0)


def test_the_first_comer_passes_and_half_of_the_others() -> None:
    found = [forecast(Rules(30, 20), trials) for trials in (1, 2, 9, 400)]
    assert [one.cut_first for one in found] == pytest.approx([0, 0.5, 4, 200], rel=0.1)
    assert [one.expected for one in found] == pytest.approx([30, 55, 230, 10_000], rel=0.02)


def test_a_searcher_that_learns_costs_more_but_not_in_its_first_trials() -> None:
    chance, learned = Rules(30, 3), Rules(30, 3, learns=True)
    assert forecast(learned, 10) == forecast(chance, 10)
    assert forecast(learned, 50).expected > 1.1 * forecast(chance, 50).expected
    assert forecast(learned, 50).expected < 50 * 30
