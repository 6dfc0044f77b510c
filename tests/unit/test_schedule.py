"""ASHA makes Ray's decisions, the plateau rules stop what has converged, and neither is fooled."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler
from ray.tune.schedulers.async_hyperband import _Bracket
from ray.tune.stopper import TrialPlateauStopper
from ray.tune.utils.util import flatten_dict

from yolotune.config.early_stopping import Plateau
from yolotune.config.settings import Settings
from yolotune.errors import StudyFailed
from yolotune.record.study import Verdict
from yolotune.schedulers.asha import Rungs
from yolotune.schedulers.plateau import Asha, Endings, PlateauStopper, patience_plateau, std_plateau
from yolotune.schedulers.ranking import GAINS

F1 = "seg_metrics/F1"
WATCHED = "train_seg_metrics/F1"
STD = Plateau(rule="std", std=0.01, num_results=5, grace_period=10)
PATIENCE = Plateau()


def asha(**given: Any) -> Asha:
    chosen = {"grace_period": 2, "reduction_factor": 2, "brackets": 1, "rank": "best", **given.pop("asha", {})}
    return Asha(Settings(data="d.yaml", **{"epochs": 16, "asha": chosen, **given}), Endings())


def ray_trial(number: int) -> Any:
    return SimpleNamespace(trial_id=str(number), config={"number": number, "point": {}})


# --- ASHA --------------------------------------------------------------------------------------------------------


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
    draw = random.Random(seed)
    epoch, alive = dict.fromkeys(range(8), 0), list(range(8))
    while alive:
        number = draw.choice(alive)
        epoch[number] += draw.choice([0, 1, 1, 7]) if jumps else 1
        if epoch[number] >= max_t:
            alive.remove(number)
            continue
        score = draw.choice([draw.random(), 0.0, 0.5])  # often equal
        cut = ours.judge(number, epoch[number], (score,))
        stopped = rays.on_result(ray_trial(number), epoch[number], score) == TrialScheduler.STOP
        assert (cut is not None) == stopped
        if stopped:
            alive.remove(number)
    kept = [{int(trial): score for trial, score in recorded.items()} for _, recorded in rays._rungs]
    assert [ours.scores(milestone) for milestone in ours.milestones] == kept


@pytest.mark.parametrize(
    ("factor", "milestones"), [(2, (200, 100, 50, 25)), (3, (225, 75, 25)), (1.5, (190, 127, 85, 57, 38, 25))]
)
def test_the_rungs_of_the_guide(factor: float, milestones: tuple[int, ...]) -> None:
    assert Rungs.of(25, 251, factor).milestones == milestones


def test_a_cut_says_where_against_what_and_among_how_many() -> None:
    rungs = Rungs.of(2, 17, 2)
    for number, score in enumerate([0.4, 0.6, 0.5]):
        rungs.judge(number, 2, (score,))
    cut = rungs.judge(3, 2, (0.1,))
    assert cut is not None and (cut.milestone, cut.score, cut.cutoff, cut.peers) == (2, 0.1, 0.5, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "x"])
def test_a_report_that_is_no_number_neither_stops_a_trial_nor_enters_a_rung(value: Any) -> None:
    rule = asha()
    rule.judge(0, 2, 0.9)
    assert rule.judge(1, 2, value) is None
    assert rule.brackets[0].scores(2) == {0: 0.9}
    assert rule.on_trial_result(None, ray_trial(1), {"epoch": 3}) == TrialScheduler.CONTINUE
    assert rule.judge(1, 4, 0.1) is None
    assert rule.brackets[0].scores(4) == {1: 0.1}


def test_a_report_that_comes_twice_is_judged_once() -> None:
    rule = asha(asha={"rank": "current"})
    for _ in range(2):
        rule.judge(0, 5, 0.5)
    assert rule.brackets[0].recorded == {16: {}, 8: {}, 4: {0: (0.5,)}, 2: {}}


def test_rebuilding_from_recorded_epochs_gives_equal_rungs() -> None:
    for rank in ("best", "current", "signals"):
        live = asha(asha={"rank": rank, "brackets": 2}, seed=5)
        draw, alive = random.Random(1), set(range(20))
        rows: dict[int, list[dict[str, Any]]] = {number: [] for number in alive}
        for epoch in range(1, 17):
            for number in sorted(alive):
                value = draw.choice([draw.random(), math.nan])
                row = {"epoch": epoch, F1: value} | {loss: draw.random() for loss in GAINS}
                rows[number].append(row)
                result = flatten_dict({"epoch": epoch, F1: value, "report": row})  # as Ray does
                if live.on_trial_result(None, ray_trial(number), result) == TrialScheduler.STOP or epoch == 16:
                    live.on_trial_complete(None, ray_trial(number), result)
                    alive.discard(number)
        again = asha(asha={"rank": rank, "brackets": 2}, seed=5)
        again.rebuild((number, {}, kept) for number, kept in rows.items())
        assert again.brackets == live.brackets
        assert any(rung for bracket in live.brackets for rung in bracket.recorded.values())


def test_rank_best_forgives_a_bad_last_epoch_and_rank_current_does_not() -> None:
    for rank, stopped in (("best", False), ("current", True)):
        rule = asha(asha={"rank": rank})
        rule.judge(0, 1, 0.5)
        rule.judge(0, 2, 0.5)
        assert rule.judge(1, 1, 0.8) is None
        assert (rule.judge(1, 2, 0.1) is not None) == stopped


def report(epoch: int, value: float, loss: float) -> dict[str, Any]:
    """Returns what Ray hands on: a report whose four losses are equal."""
    row = {"epoch": epoch, F1: value} | dict.fromkeys(GAINS, loss)
    return dict(flatten_dict({"epoch": epoch, F1: value, "report": row}))


def test_rank_signals_keeps_a_late_starter_that_learns_and_cuts_one_that_forgets() -> None:
    """Four trials learn, one of them without F1 so far; the fifth came with good weights and is losing them."""
    for rank, cut in (("best", {1}), ("signals", {2})):
        rule = asha(asha={"rank": rank})
        curves = {0: (0.3, 0.5), 3: (0.2, 0.6), 4: (0.25, 0.4), 1: (0.0, 0.45), 2: (0.9, 3.0)}
        stopped = set()
        for number, (value, loss) in curves.items():
            if rule.on_trial_result(None, ray_trial(number), report(2, value, loss)) == TrialScheduler.STOP:
                stopped.add(number)
        assert stopped & {1, 2} == cut


def test_a_cut_by_signals_says_what_it_was_ranked_by() -> None:
    rule, endings = asha(asha={"rank": "signals"}), Endings()
    rule._endings = endings
    for number, (value, loss) in enumerate([(0.3, 0.5), (0.2, 0.6), (0.25, 3.0)]):
        rule.on_trial_result(None, ray_trial(number), report(2, value, loss))
    assert endings[2].reason == (
        "rung at epoch 2: seg_metrics/F1 0.2500 and the training losses ranked it 0.10 (0 worst, 1 best), below the "
        "cut-off 0.70 of 2 trials"
    )


def test_in_direction_min_the_higher_loss_is_cut() -> None:
    rule = asha(objective="val/seg_loss")
    rule.judge(0, 2, 1.0)
    assert rule.judge(1, 2, 0.9) is None
    result = {"epoch": 2, "val/seg_loss": 2.0}
    assert rule.on_trial_result(None, ray_trial(2), result) == TrialScheduler.STOP
    assert rule._endings[2].verdict is Verdict.PRUNED
    assert "val/seg_loss 2.0000 was above the cut-off 0.9500 of 2 trials" in rule._endings[2].reason


def test_the_bracket_of_a_trial_is_the_same_after_every_restart() -> None:
    chosen = [[rule.brackets.index(rule.bracket_of(number)) for number in range(60)] for rule in _pair(seed=3)]
    assert chosen[0] == chosen[1]
    assert set(chosen[0]) == {0, 1, 2}
    other = next(iter(_pair(seed=4)))
    assert [other.brackets.index(other.bracket_of(number)) for number in range(60)] != chosen[0]


def _pair(seed: int) -> list[Asha]:
    return [asha(asha={"brackets": 3}, seed=seed) for _ in range(2)]


def test_a_full_trial_ends_by_itself() -> None:
    rule = asha(epochs=16)
    assert max(rule.brackets[0].milestones) <= 16 < Settings(data="d.yaml", epochs=16).max_t
    assert all(rule.judge(0, epoch, 0.5) is None for epoch in range(1, 17))


# --- plateau: the guide's rule -----------------------------------------------------------------------------------


def stops_at(rule: Plateau, curve: list[Any], epochs: int | None = None) -> int | None:
    """Returns the epoch at which a stopper ends a trial with this curve."""
    study = Settings(data="d.yaml", epochs=epochs or len(curve), plateau=rule.model_dump())
    stopper = PlateauStopper(study, Endings())
    for epoch, value in enumerate(curve, start=1):
        if stopper("id", {"config": {"number": 0}, "report": {"epoch": epoch, rule.metric: value}}):
            return epoch
    return None


def test_the_two_examples_of_the_guide() -> None:
    assert std_plateau([0.75, 0.76, 0.77, 0.78, 0.79], STD) is None
    assert std_plateau([0.85, 0.851, 0.849, 0.850, 0.851], STD) is not None
    assert std_plateau([0.85, 0.851, 0.849, 0.850], STD) is None  # the window is not full


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
    curve = list(np.abs(np.cumsum(np.random.default_rng(seed).normal(0.005, 0.01, 40))))
    rays = TrialPlateauStopper(metric="m", std=std, num_results=window, grace_period=grace)
    expected = next((epoch for epoch, value in enumerate(curve, start=1) if rays("id", {"m": value})), None)
    assert stops_at(Plateau(rule="std", std=std, num_results=window, grace_period=grace), curve) == expected


# --- plateau: the default rule -----------------------------------------------------------------------------------


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
    assert stops_at(Plateau(patience=5, grace_period=40), [0.5] * 100) == 40


def test_a_loss_plateaus_when_it_falls_no_longer() -> None:
    rule = Plateau(metric="val/seg_loss")
    assert stops_at(rule, [3.0 - 0.02 * epoch for epoch in range(100)]) is None
    assert stops_at(rule, [1.0 + 0.02 * epoch for epoch in range(100)]) == 35


@pytest.mark.parametrize("rule", [STD, PATIENCE])
@pytest.mark.parametrize("missing", [math.nan, None, math.inf])
def test_values_that_are_no_numbers_never_stop_a_trial(rule: Plateau, missing: Any) -> None:
    assert stops_at(rule, [missing] * 100) is None
    rising = [0.01 * epoch for epoch in range(100)]
    holes = [missing if epoch % 3 == 0 else value for epoch, value in enumerate(rising)]
    assert stops_at(rule, holes) is None
    flat = [0.5] * 9 + [missing] + [0.5] * 90
    assert stops_at(rule, flat) == (11 if rule is STD else 36)  # a hole is no epoch without a gain


@pytest.mark.parametrize("rule", [STD, PATIENCE])
def test_an_epoch_that_is_reported_twice_counts_once(rule: Plateau) -> None:
    study = Settings(data="d.yaml", epochs=100, plateau=rule.model_dump())
    once, twice = PlateauStopper(study, Endings()), PlateauStopper(study, Endings())
    for epoch in range(1, 101):
        value = 0.5 if epoch > 20 else 0.025 * epoch
        result = {"config": {"number": 0}, "report": {"epoch": epoch, WATCHED: value}}
        if once("id", result):
            break
        assert not twice("id", result) and not twice("id", result)
    assert 20 < epoch < 60
    assert twice("id", result)


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
    stopper = PlateauStopper(Settings(data="d.yaml", plateau={"rule": "patience"}), Endings())
    with pytest.raises(StudyFailed, match="no trial reports train_seg_metrics/F1"):
        stopper("id", {"config": {"number": 0}, "report": {"epoch": 1, F1: 0.5}})


def test_a_trial_that_ends_by_itself_keeps_its_own_verdict() -> None:
    endings = Endings()
    stopper = PlateauStopper(Settings(data="d.yaml", plateau=STD.model_dump()), endings)
    for epoch in range(1, 10):
        assert not stopper("id", {"config": {"number": 0}, "report": {"epoch": epoch, WATCHED: 0.5}})
    assert not stopper("id", {"config": {"number": 0}, "done": True, "report": {"epoch": 10, WATCHED: 0.5}})
    assert endings == {}


def test_a_plateau_leaves_its_verdict_and_reason() -> None:
    endings = Endings()
    stopper = PlateauStopper(Settings(data="d.yaml", plateau=STD.model_dump()), endings)
    for epoch in range(1, 11):
        stopped = stopper("id", {"config": {"number": 7}, "report": {"epoch": epoch, WATCHED: 0.5}})
    assert stopped
    assert endings[7].verdict is Verdict.PLATEAUED
    assert endings[7].reason.startswith("train_seg_metrics/F1: standard deviation 0.0000 over 5 epochs is below 0.01")
