"""The plateau rules end what has converged, and are not fooled by noise, holes, or a trial that has not begun.

That the guide's rule stops at the epoch at which Ray's stopper does is held in tests/integration/test_ray_rules.py.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yolotune.config.scheduling import PlateauSettings
from yolotune.config.settings import Settings
from yolotune.errors import StudyFailed
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers import PlateauRule, Report
from yolotune.schedulers.plateau import patience_plateau, std_plateau

F1 = "seg_metrics/F1"
WATCHED = "train_seg_metrics/F1"
STD = PlateauSettings(rule="std", std=0.01, num_results=5, grace_period=10)
PATIENCE = PlateauSettings()


def make(rule: PlateauSettings, epochs: int = 100) -> PlateauRule:
    return PlateauRule(Settings(data="d.yaml", space={}, epochs=epochs, plateau=rule))


def report(epoch: int, value: Any, number: int = 0, metric: str = WATCHED) -> Report:
    return Report(number, {}, epoch, {"epoch": epoch, metric: value})


def stops_at(rule: PlateauSettings, curve: list[Any], epochs: int | None = None) -> int | None:
    """Returns the epoch after which the rule ends a trial with this curve."""
    judge = make(rule, epochs or len(curve)).judge
    reports = (report(epoch, value, metric=rule.metric) for epoch, value in enumerate(curve, start=1))
    return next((one.epoch for one in reports if judge(one) is not None), None)


# --- the guide's rule ----------------------------------------------------------------------------------------------


def test_the_two_examples_of_the_guide() -> None:
    assert std_plateau([0.75, 0.76, 0.77, 0.78, 0.79], STD) is None
    assert std_plateau([0.85, 0.851, 0.849, 0.850, 0.851], STD) is not None
    assert std_plateau([0.85, 0.851, 0.849, 0.850], STD) is None  # the window is not full


def test_the_guides_rule_looks_at_the_last_values_only() -> None:
    rising, flat = [0.1 * epoch for epoch in range(10)], [0.9] * 5
    assert stops_at(STD, rising + flat) == 14
    assert stops_at(STD, flat + rising) is None, "within the grace period"


# --- the default rule ----------------------------------------------------------------------------------------------


def test_a_curve_that_falls_is_stopped_after_the_patience() -> None:
    falling = [0.9 - 0.005 * epoch for epoch in range(100)]
    assert stops_at(PATIENCE, falling) == 35  # best in the first window of 5, patience 0.3 of 100


def test_a_flat_curve_is_stopped_after_the_patience_and_says_why() -> None:
    assert stops_at(PATIENCE, [0.5] * 100) == 35
    reason = patience_plateau([0.5] * 35, PATIENCE, 100, "max")
    assert reason == "no gain above 0.002 for 30 epochs, since 0.5000 at epoch 5"


def test_a_trial_that_has_not_begun_is_not_judged() -> None:
    assert stops_at(PATIENCE, [0.0] * 100) is None
    late = [0.0] * 60 + [0.02 * epoch for epoch in range(40)]
    assert stops_at(PATIENCE, late) is None


def test_a_real_curve_that_flickers_before_it_rises_is_not_judged() -> None:
    flickers = [0.03, 0.08, 0.1, 0.07, 0.06, 0.0, 0.02, 0.01, 0.01, 0.02, 0.0, 0.04, 0.09, 0.08, 0.18, 0.25, 0.19, 0.15]
    assert patience_plateau(flickers[:14], PATIENCE, 30, "max") is None


def test_slow_gains_add_up() -> None:
    assert stops_at(PATIENCE, [0.1 + 0.001 * epoch for epoch in range(100)]) is None


def test_nothing_is_stopped_within_the_grace_period() -> None:
    assert stops_at(PlateauSettings(patience=5, grace_period=40), [0.5] * 100) == 40


def test_a_loss_plateaus_when_it_falls_no_longer() -> None:
    rule = PlateauSettings(metric="val/seg_loss")
    assert stops_at(rule, [3.0 - 0.02 * epoch for epoch in range(100)]) is None
    assert stops_at(rule, [1.0 + 0.02 * epoch for epoch in range(100)]) == 35


@pytest.mark.parametrize("rule", [STD, PATIENCE])
@pytest.mark.parametrize("missing", [math.nan, None, math.inf])
def test_values_that_are_no_numbers_never_stop_a_trial(rule: PlateauSettings, missing: Any) -> None:
    assert stops_at(rule, [missing] * 100) is None
    rising = [0.01 * epoch for epoch in range(100)]
    holes = [missing if epoch % 3 == 0 else value for epoch, value in enumerate(rising)]
    assert stops_at(rule, holes) is None
    flat = [0.5] * 9 + [missing] + [0.5] * 90
    assert stops_at(rule, flat) == (11 if rule is STD else 36)  # a hole is no epoch without a gain


@pytest.mark.parametrize("rule", [STD, PATIENCE])
def test_an_epoch_that_is_reported_twice_counts_once(rule: PlateauSettings) -> None:
    once, twice = make(rule), make(rule)
    for epoch in range(1, 101):
        one = report(epoch, 0.5 if epoch > 20 else 0.025 * epoch)
        ending = once.judge(one)
        if ending is not None:
            break
        assert twice.judge(one) is None
        assert twice.judge(report(epoch, 0.9)) is None, (
            "trained again, it may come out otherwise; the first is recorded"
        )
    assert 20 < epoch < 60
    assert twice.judge(one) == ending and twice.judge(one) == ending, "said again, should its trial be restarted"


@pytest.mark.parametrize("rule", [STD, PATIENCE])
def test_a_study_that_is_resumed_judges_whole_curves(rule: PlateauSettings) -> None:
    curve = [0.5 if epoch > 20 else 0.025 * epoch for epoch in range(1, 101)]
    end = stops_at(rule, curve)
    assert end is not None
    rows = [report(epoch, value).row for epoch, value in enumerate(curve[: end - 1], start=1)]
    resumed = make(rule)
    resumed.rebuild([TrialRecord(0, Path(), {}, [dict(row) for row in rows], None, None, None)])
    assert resumed.judge(report(end, curve[end - 1])) is not None


def test_each_trial_is_judged_by_its_own_curve() -> None:
    rule = make(STD)
    for epoch in range(1, 10):
        assert rule.judge(report(epoch, 0.5, number=0)) is None
        assert rule.judge(report(epoch, 0.05 * epoch, number=1)) is None
    assert rule.judge(report(10, 0.5, number=1)) is None
    assert rule.judge(report(10, 0.5, number=0)) is not None


@pytest.mark.parametrize("tau", [5, 10, 20, 40, 70, 100])
def test_the_default_rule_keeps_98_percent_of_the_f1_of_healthy_curves(tau: int) -> None:
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(0, 0.01, 250)
        clean = 0.85 * (1 - np.exp(-np.arange(1, 251) / tau))
        curve = clean + noise
        end = stops_at(PATIENCE, [float(value) for value in curve]) or 250
        assert curve[:end].max() >= 0.98 * curve.max()
        assert clean[:end].max() >= 0.98 * clean.max()
        if tau <= 10:
            assert end < 200  # it does save something


def test_a_watched_metric_that_never_arrives_is_an_error() -> None:
    with pytest.raises(StudyFailed, match="no trial reports train_seg_metrics/F1"):
        make(PATIENCE).judge(report(1, 0.5, metric=F1))


def test_a_plateau_gives_its_verdict_and_reason() -> None:
    rule = make(STD)
    endings = [rule.judge(report(epoch, 0.5)) for epoch in range(1, 11)]
    reason = "train_seg_metrics/F1: standard deviation 0.0000 over 5 epochs is below 0.01"
    assert endings == [None] * 9 + [Ending(Verdict.PLATEAUED, reason)]


def test_settings_without_a_rule_are_refused() -> None:
    with pytest.raises(ValueError, match="plateau is None"):
        PlateauRule(Settings(data="d.yaml", space={}))
