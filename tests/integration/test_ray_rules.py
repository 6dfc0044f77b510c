"""Our early stopping decides as Ray Tune's own, epoch by epoch; the rules themselves know no Ray."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler
from ray.tune.schedulers.async_hyperband import _Bracket
from ray.tune.stopper import TrialPlateauStopper

from yolotune.config.scheduling import PlateauSettings
from yolotune.config.settings import Settings
from yolotune.schedulers import PlateauRule, Report
from yolotune.schedulers.asha import Rungs

WATCHED = "train_seg_metrics/F1"


@settings(max_examples=150, deadline=None)
@given(
    factor=st.sampled_from([1.5, 2, 3]),
    grace=st.integers(1, 10),
    max_t=st.integers(10, 60),
    bracket=st.integers(0, 2),
    jumps=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_rungs_decide_as_rays_own_bracket(
    factor: float, grace: int, max_t: int, bracket: int, jumps: bool, seed: int
) -> None:
    ours, rays = Rungs.of(grace, max_t, factor, bracket), _Bracket(grace, max_t, factor, bracket)
    rng = random.Random(seed)
    epoch, alive = dict.fromkeys(range(8), 0), list(range(8))
    while alive:
        number = rng.choice(alive)
        epoch[number] += rng.choice([0, 1, 1, 7]) if jumps else 1
        if epoch[number] >= max_t:
            alive.remove(number)
            continue
        score = rng.choice([rng.random(), 0.0, 0.5])  # often equal
        cut = ours.judge(number, epoch[number], (score,))
        trial = SimpleNamespace(trial_id=str(number))
        stopped = rays.on_result(trial, epoch[number], score) == TrialScheduler.STOP
        assert (cut is not None) == stopped
        if stopped:
            alive.remove(number)
    kept = [{int(trial): score for trial, score in recorded.items()} for _, recorded in rays._rungs]
    assert [ours.scores(milestone) for milestone in ours.milestones] == kept


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    window=st.integers(1, 8),
    grace=st.integers(1, 15),
    std=st.sampled_from([0.003, 0.01, 0.03]),
)
def test_the_std_rule_stops_at_the_epoch_at_which_rays_stopper_does(
    seed: int, window: int, grace: int, std: float
) -> None:
    curve = [float(value) for value in np.abs(np.cumsum(np.random.default_rng(seed).normal(0.005, 0.01, 40)))]
    rays = TrialPlateauStopper(metric="m", std=std, num_results=window, grace_period=grace)
    expected = next((epoch for epoch, value in enumerate(curve, start=1) if rays("id", {"m": value})), None)
    numbers = PlateauSettings(rule="std", std=std, num_results=window, grace_period=grace)
    rule = PlateauRule(Settings(data="d.yaml", space={}, epochs=40, plateau=numbers))
    reports = (Report(0, {}, epoch, {WATCHED: value}) for epoch, value in enumerate(curve, start=1))
    assert next((one.epoch for one in reports if rule.judge(one)), None) == expected
