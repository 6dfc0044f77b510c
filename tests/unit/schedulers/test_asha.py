"""ASHA cuts what is worse than most before it, is fooled by no report, and is rebuilt as it was.

That its rungs decide as Ray's own do is held in tests/integration/test_ray_rules.py.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest

from yolotune.config.settings import Settings
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers import CONTINUE, Action, Asha, Decision, Report
from yolotune.schedulers.asha import Rungs, bracket_odds
from yolotune.schedulers.ranking import GAINS

F1 = "seg_metrics/F1"


def asha(numbers: dict[str, Any] | None = None, **given: Any) -> Asha:
    chosen = {"name": "asha", "grace_period": 2, "reduction_factor": 2, "rank": "best", **(numbers or {})}
    return Asha(Settings(**{"data": "d.yaml", "space": {}, "epochs": 16, "scheduler": chosen, **given}))


def report(number: int, epoch: int, value: Any, **losses: float) -> Report:
    return Report(number, {}, epoch, {"epoch": epoch, F1: value, **losses})


def reason_of(decision: Decision) -> str:
    assert decision.ending is not None and decision.ending.verdict is Verdict.PRUNED
    return decision.ending.reason


# --- rungs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "milestones"), [(2, (200, 100, 50, 25)), (3, (225, 75, 25)), (1.5, (190, 127, 85, 57, 38, 25))]
)
def test_the_rungs_of_the_guide(factor: float, milestones: tuple[int, ...]) -> None:
    assert Rungs.of(25, 251, factor).milestones == milestones


def test_a_higher_bracket_lacks_the_lower_rungs() -> None:
    assert [Rungs.of(25, 251, 2, bracket).milestones for bracket in (1, 3, 4)] == [(200, 100, 50), (200,), ()]


@pytest.mark.parametrize(
    ("factor", "before", "cutoff"),
    [(2, (0.4,), 0.4), (2, (0.4, 0.6), 0.5), (2, (0.4, 0.9, 0.5), 0.5), (4, (0.0, 0.4, 0.8, 0.2, 0.6), 0.6)],
)
def test_who_is_below_the_percentile_of_those_before_is_cut(
    factor: float, before: tuple[float, ...], cutoff: float
) -> None:
    for score, cut in ((cutoff - 1e-6, True), (cutoff, False), (cutoff + 1e-6, False)):
        rungs = Rungs.of(2, 17, factor)
        rungs.recorded[2] = {number: (at,) for number, at in enumerate(before)}
        assert (rungs.judge(9, 2, (score,)) is not None) == cut


def test_the_first_at_a_rung_passes() -> None:
    assert Rungs.of(2, 17, 2).judge(0, 2, (0.0,)) is None


def test_a_cut_says_where_against_what_and_among_how_many() -> None:
    rungs = Rungs.of(2, 17, 2)
    for number, score in enumerate([0.4, 0.6, 0.5]):
        rungs.judge(number, 2, (score,))
    cut = rungs.judge(3, 2, (0.1,))
    assert cut is not None and (cut.milestone, cut.score, cut.cutoff, cut.peers) == (2, 0.1, 0.5, 3)


def test_a_trial_that_comes_late_stands_at_the_highest_rung_it_has_reached() -> None:
    rungs = Rungs.of(2, 17, 2)
    rungs.judge(0, 9, (0.5,))
    assert rungs.recorded == {16: {}, 8: {0: (0.5,)}, 4: {}, 2: {}}


def test_the_more_rungs_a_bracket_has_the_more_trials_it_gets() -> None:
    assert bracket_odds([3]) == [1.0]
    assert bracket_odds([4, 3]) == pytest.approx([math.e / (1 + math.e), 1 / (1 + math.e)])


# --- the scheduler -------------------------------------------------------------------------------------------------


def test_the_reason_says_where_against_what_and_among_how_many() -> None:
    rule = asha()
    rule.judge(report(0, 2, 0.4))
    rule.judge(report(1, 2, 0.6))
    decision = rule.judge(report(2, 2, 0.1))
    assert decision.action is Action.STOP
    assert reason_of(decision) == f"rung at epoch 2: {F1} 0.1000 was below the cut-off 0.5000 of 2 trials"


def test_a_trial_is_judged_at_rungs_only_and_once_at_each() -> None:
    rule = asha({"rank": "current"})
    rule.judge(report(0, 2, 0.5))
    assert rule.judge(report(1, 1, 0.0)) == CONTINUE
    assert rule.judge(report(1, 2, 0.6)) == CONTINUE
    assert rule.judge(report(1, 3, 0.0)) == CONTINUE
    assert rule.brackets[0].scores(2) == {0: 0.5, 1: 0.6}
    assert rule.judge(report(2, 2, 0.0)).action is Action.STOP


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "x"])
def test_a_report_that_is_no_number_neither_stops_a_trial_nor_enters_a_rung(value: Any) -> None:
    rule = asha()
    rule.judge(report(0, 2, 0.9))
    assert rule.judge(report(1, 2, value)) == CONTINUE
    assert rule.brackets[0].scores(2) == {0: 0.9}
    assert rule.judge(Report(1, {}, 3, {})) == CONTINUE
    assert rule.judge(report(1, 4, 0.1)) == CONTINUE
    assert rule.brackets[0].scores(4) == {1: 0.1}


def test_a_report_that_comes_twice_is_judged_once() -> None:
    rule = asha({"rank": "current"})
    for _ in range(2):
        assert rule.judge(report(0, 5, 0.5)) == CONTINUE
    assert rule.brackets[0].recorded == {16: {}, 8: {}, 4: {0: (0.5,)}, 2: {}}


def test_a_full_trial_counts_at_every_rung_and_ends_by_itself() -> None:
    rule = asha(epochs=16)
    assert all(rule.judge(report(0, epoch, 0.5)) == CONTINUE for epoch in range(1, 17))
    assert all(rule.brackets[0].scores(milestone) == {0: 0.5} for milestone in (2, 4, 8, 16))
    rule.end(0, Verdict.COMPLETED)
    assert rule.brackets[0].scores(2) == {0: 0.5}, "its reports count however it ended"
    powers = asha({"grace_period": 1, "reduction_factor": 3}, epochs=243)
    assert powers.brackets[0].milestones == (243, 81, 27, 9, 3, 1), "log(243) / log(3) is 4.99... in floats"


@pytest.mark.parametrize("rank", ["best", "current", "signals"])
def test_rebuilding_from_recorded_epochs_gives_equal_rungs(rank: str) -> None:
    live, again = (asha({"rank": rank, "brackets": 2}, seed=5) for _ in range(2))
    rng, alive = random.Random(1), set(range(20))
    rows: dict[int, list[dict[str, Any]]] = {number: [] for number in alive}
    points = {number: {"box": 5.0 + number, "cls": 1.0} for number in alive}
    for epoch in range(1, 17):
        for number in sorted(alive):
            row = {"epoch": epoch, F1: rng.choice([rng.random(), math.nan])} | {loss: rng.random() for loss in GAINS}
            rows[number].append(row)
            if live.judge(Report(number, points[number], epoch, row)).action is Action.STOP:
                alive.discard(number)
    ended = Ending(Verdict.PRUNED, "")
    again.rebuild([TrialRecord(n, Path(), points[n], kept, ended, None, None) for n, kept in rows.items()])
    assert again.brackets == live.brackets
    assert any(rung for bracket in live.brackets for rung in bracket.recorded.values())


@pytest.mark.parametrize(("rank", "stopped"), [("best", False), ("current", True)])
def test_rank_best_forgives_a_bad_last_epoch_and_rank_current_does_not(rank: str, stopped: bool) -> None:
    rule = asha({"rank": rank})
    rule.judge(report(0, 1, 0.5))
    rule.judge(report(0, 2, 0.5))
    rule.judge(report(1, 1, 0.8))
    assert (rule.judge(report(1, 2, 0.1)).action is Action.STOP) == stopped


@pytest.mark.parametrize(("rank", "cut"), [("best", {1}), ("signals", {2})])
def test_rank_signals_keeps_a_late_starter_that_learns_and_cuts_one_that_forgets(rank: str, cut: set[int]) -> None:
    """Four trials learn, one of them without F1 so far; the fifth came with good weights and is losing them."""
    rule = asha({"rank": rank})
    curves = {0: (0.3, 0.5), 3: (0.2, 0.6), 4: (0.25, 0.4), 1: (0.0, 0.45), 2: (0.9, 3.0)}
    decisions = {
        number: rule.judge(report(number, 2, value, **dict.fromkeys(GAINS, loss)))
        for number, (value, loss) in curves.items()
    }
    assert {number for number in (1, 2) if decisions[number].action is Action.STOP} == cut


def test_losses_count_by_the_gains_of_their_trial() -> None:
    """Trial 1 has twice the losses at four times the gain, and passes."""
    rule = asha({"rank": "signals"})
    for number, loss, gain in ((0, 1.0, 1.0), (1, 2.0, 4.0)):
        row = {"epoch": 2, F1: 0.5} | dict.fromkeys(GAINS, loss)
        decision = rule.judge(Report(number, dict.fromkeys(("box", "cls", "dfl"), gain), 2, row))
    assert decision == CONTINUE


def test_a_cut_by_signals_says_what_it_was_ranked_by() -> None:
    rule = asha({"rank": "signals"})
    for number, (value, loss) in enumerate([(0.3, 0.5), (0.2, 0.6), (0.25, 3.0)]):
        decision = rule.judge(report(number, 2, value, **dict.fromkeys(GAINS, loss)))
    assert reason_of(decision) == (
        "rung at epoch 2: seg_metrics/F1 0.2500 and the training losses ranked it 0.10 (0 worst, 1 best), below the "
        "cut-off 0.70 of 2 trials"
    )


def test_in_direction_min_the_higher_loss_is_cut() -> None:
    rule = asha(objective="val/seg_loss")
    decisions = [rule.judge(Report(n, {}, 2, {"val/seg_loss": loss})) for n, loss in enumerate((1.0, 0.9, 2.0))]
    assert decisions[:2] == [CONTINUE, CONTINUE]
    assert reason_of(decisions[2]).endswith("val/seg_loss 2.0000 was above the cut-off 0.9500 of 2 trials")


def test_the_bracket_of_a_trial_is_the_same_after_every_restart() -> None:
    one, restarted, other = (asha({"brackets": 3}, seed=seed) for seed in (3, 3, 4))
    chosen = [[rule.brackets.index(rule.bracket_of(number)) for number in range(60)] for rule in (one, restarted)]
    assert chosen[0] == chosen[1]
    assert set(chosen[0]) == {0, 1, 2}
    assert [other.brackets.index(other.bracket_of(number)) for number in range(60)] != chosen[0]


def test_settings_without_rungs_are_refused() -> None:
    with pytest.raises(ValueError, match="scheduler is none"):
        Asha(Settings(data="d.yaml", space={}, scheduler=None))
    with pytest.raises(ValueError, match="is None: call"):
        Asha(Settings(data="d.yaml", space={}, scheduler="asha"))
