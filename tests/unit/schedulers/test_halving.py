"""Synchronous halving: what it decides follows from the curves alone, whoever comes first and however often it dies."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolotune.config.settings import Settings
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers import CONTINUE, PAUSE, Action, Decision, Report, SuccessiveHalving, Turn
from yolotune.schedulers.ranking import GAINS

F1 = "seg_metrics/F1"


def make(numbers: dict[str, Any] | None = None, **given: Any) -> Settings:
    halving = {"name": "halving", "grace_period": 2, "reduction_factor": 3, "batch": 9, **(numbers or {})}
    return Settings(**{"data": "d", "space": {}, "epochs": 20, "num_samples": 18, "scheduler": halving, **given})


def report(number: int, epoch: int, value: Any, **losses: float) -> Report:
    return Report(number, {}, epoch, {"epoch": epoch, F1: value, **losses})


class World:
    """Trains trials of a study in slots, in an order drawn at random; an epoch of a trial is a number of its curve."""

    def __init__(self, told: Settings, seed: int, slots: int = 2) -> None:
        self.settings = told
        self.rng = random.Random(seed)
        self.slots = slots
        curves = random.Random(17)
        self.curves = [[curves.choice([curves.random(), 0.5]) for _ in range(told.epochs)] for _ in range(25)]
        self.fails: dict[int, tuple[int, Verdict]] = {}
        self.rows: dict[int, list[dict[str, Any]]] = {}
        self.endings: dict[int, Ending] = {}

    def record(self) -> list[TrialRecord]:
        """Returns the trials as a record has them."""
        return [
            TrialRecord(number, Path(), {}, rows, self.endings.get(number), None, None)
            for number, rows in sorted(self.rows.items())
        ]

    def run(self, steps: int = 10**6) -> bool:
        """Trains as a driver that starts from the record, for so many epochs at most; whether all trials have ended."""
        rules = SuccessiveHalving(self.settings)
        rules.rebuild(self.record())
        busy: list[int] = []
        for _ in range(steps):
            while len(busy) < self.slots and (turn := rules.next_turn(busy)) is not None:
                self.rows.setdefault(turn.number, [])
                if turn.ending is None:
                    rules.begin(turn.number)
                    busy.append(turn.number)
                else:
                    self.end(rules, turn.number, turn.ending)
            if not busy:
                return True
            number = busy.pop(self.rng.randrange(len(busy)))
            if self.train(rules, number):
                busy.append(number)
        return False

    def train(self, rules: SuccessiveHalving, number: int) -> bool:
        """Trains an epoch; whether the trial keeps its slot."""
        rows = self.rows[number]
        epoch, (fails_at, verdict) = len(rows) + 1, self.fails.get(number, (0, Verdict.FAILED))
        if epoch == fails_at:
            self.end(rules, number, Ending(verdict, "it says so"))
            return False
        value = self.curves[number][epoch - 1]
        rows.append({"epoch": epoch, F1: value})
        decision = rules.judge(Report(number, {}, epoch, rows[-1]))
        assert rules.judge(Report(number, {}, epoch, rows[-1])) == decision, "a report that comes again counts once"
        if epoch == self.settings.epochs:
            self.end(rules, number, Ending(Verdict.COMPLETED, "all"))
            return False
        if decision.ending is not None:
            self.end(rules, number, decision.ending)
        return decision == CONTINUE

    def end(self, rules: SuccessiveHalving, number: int, ending: Ending) -> None:
        self.endings[number] = ending
        rules.end(number, ending.verdict)

    @property
    def outcome(self) -> list[Any]:
        return [(number, len(rows), self.endings[number]) for number, rows in sorted(self.rows.items())]


deaths = st.dictionaries(
    st.integers(0, 24),
    st.tuples(st.integers(1, 20), st.sampled_from([Verdict.FAILED, Verdict.OOM, Verdict.DIVERGED, Verdict.PLATEAUED])),
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(
    factor=st.sampled_from([1.5, 2, 3, 4]),
    batch=st.integers(2, 10),
    trials=st.integers(1, 25),
    grace=st.integers(1, 25),
    slots=st.integers(1, 12),
    fails=deaths,
    seed=st.integers(0, 2**32),
    kills=st.lists(st.integers(0, 40), max_size=4),
)
def test_neither_order_nor_slots_nor_kills_change_a_decision(
    factor: float,
    batch: int,
    trials: int,
    grace: int,
    slots: int,
    fails: dict[int, tuple[int, Verdict]],
    seed: int,
    kills: list[int],
) -> None:
    told = make({"reduction_factor": factor, "batch": batch, "grace_period": grace}, num_samples=trials)
    one, other = World(told, 0, slots=1), World(told, seed, slots)
    one.fails = other.fails = fails
    assert one.run() and len(one.endings) == trials, "nobody waits for ever"
    for steps in kills:  # each ends the driver, wherever it is; the next starts from the record
        other.run(steps)
    assert other.run()
    assert other.outcome == one.outcome


def test_nine_trials_leave_three_then_one() -> None:
    world = World(make(num_samples=9), seed=1)
    assert SuccessiveHalving(world.settings).milestones == (2, 6, 18)
    world.run()
    lengths = sorted(len(rows) for rows in world.rows.values())
    assert lengths == [2] * 6 + [6, 6, 20]
    assert [ending.verdict for ending in world.endings.values()].count(Verdict.COMPLETED) == 1
    first = sorted(range(9), key=lambda number: (-max(world.curves[number][:2]), number))[:3]
    second = sorted(first, key=lambda number: (-max(world.curves[number][:6]), number))[0]
    assert {number for number, rows in world.rows.items() if len(rows) >= 6} == set(first)
    assert len(world.rows[second]) == 20


# --- at a rung -----------------------------------------------------------------------------------------------------


def halving(*curves: list[Any], numbers: dict[str, Any] | None = None, **given: Any) -> SuccessiveHalving:
    """Returns the rungs of a study of one batch, whose trials have reported these values."""
    rules = SuccessiveHalving(make(numbers, **{"num_samples": len(curves), **given}))
    for number, values in enumerate(curves):
        for epoch, value in enumerate(values, start=1):
            rules.judge(report(number, epoch, value))
    return rules


def kept(rules: SuccessiveHalving) -> tuple[int, ...]:
    return rules.rungs_of(0)[0].kept


def cut(rules: SuccessiveHalving) -> dict[int, str]:
    """Returns the reasons of those that are to be cut now."""
    found: dict[int, str] = {}
    while (turn := rules.next_turn(found)) is not None and turn.ending is not None:
        assert turn.ending.verdict is Verdict.PRUNED
        found[turn.number] = turn.ending.reason
    return found


def test_a_cut_says_where_against_whom_and_what_was_needed() -> None:
    rules = halving(*([score, None] for score in (0.3, 0.05, 0.1, 0.2, 0.07, 0.01, 0.02, 0.03, None)))
    assert kept(rules) == (0, 3, 2)
    reasons = cut(rules)
    assert reasons.keys() == {1, 4, 5, 6, 7, 8}
    assert reasons[4] == f"rung at epoch 2: {F1} 0.0700 was not among the best 3 of 9 (needed 0.1000)"
    assert reasons[8] == f"rung at epoch 2: {F1} none was not among the best 3 of 9 (needed 0.1000)"


def test_of_losses_the_lowest_are_kept() -> None:
    rules = SuccessiveHalving(make(num_samples=3, objective="val/seg_loss"))
    for number, loss in enumerate((2.0, 1.0, 3.0)):
        rules.judge(Report(number, {}, 2, {"val/seg_loss": loss}))
    assert kept(rules) == (1,)
    assert cut(rules)[0] == "rung at epoch 2: val/seg_loss 2.0000 was not the best of 3 (needed 1.0000)"


def test_equal_scores_are_kept_by_number_and_one_at_least() -> None:
    assert kept(halving(*[[0.5, 0.5]] * 9)) == (0, 1, 2)
    assert kept(halving(*[[0.1, 0.1]] * 2)) == (0,)
    rules = halving(*[[None, math.nan]] * 3)
    assert kept(rules) == (0,), "a trial without a value too, if no other has one"
    assert cut(rules)[1] == f"rung at epoch 2: {F1} none was not the best of 3"


@pytest.mark.parametrize(("rank", "expected"), [("best", (0,)), ("current", (1,))])
def test_the_best_epoch_counts_unless_the_last_is_asked_for(rank: str, expected: tuple[int, ...]) -> None:
    assert kept(halving([0.9, 0.1], [0.3, 0.4], numbers={"rank": rank})) == expected


def test_what_comes_after_the_rung_does_not_count_there() -> None:
    """A killed process may have trained an epoch that nobody asked for."""
    assert kept(halving([0.1, 0.2, 0.9], [0.3, 0.3], [0.2, 0.25])) == (1,)


def test_the_last_to_come_is_told_at_once_and_the_others_when_a_slot_is_free() -> None:
    rules = halving([0.5], [0.7], [0.6])
    assert [rules.judge(report(number, 2, 0.0)) for number in (0, 1)] == [PAUSE, PAUSE]
    last = rules.judge(report(2, 2, 0.0))
    assert last == Decision(Action.STOP, Ending(Verdict.PRUNED, cut(rules)[2]))
    assert rules.judge(report(0, 2, 0.0)).action is Action.STOP, "asked again, it says what is so now"
    assert rules.judge(report(1, 2, 0.0)) == CONTINUE


def test_by_signals_low_losses_outweigh_an_f1_that_has_not_begun() -> None:
    for rank, first in (("best", 1), ("signals", 0)):
        rules = SuccessiveHalving(make({"rank": rank}, num_samples=3))
        for number, (value, loss) in enumerate([(0.0, 0.5), (0.1, 1.0), (0.05, 2.0)]):
            rules.judge(report(number, 2, value, **dict.fromkeys(GAINS, loss)))
        assert kept(rules) == (first,)
    assert cut(rules)[1] == (
        "rung at epoch 2: seg_metrics/F1 0.1000 was not the best of 3 by that and the training losses"
    )


def test_losses_count_by_the_gains_of_their_trial_live_and_rebuilt() -> None:
    """Trial 0 has twice the losses at four times the gain, and wins."""
    points = {0: {"box": 28.0, "cls": 2.0, "dfl": 6.0}, 1: {"box": 7.0, "cls": 0.5, "dfl": 1.5}}
    rows = {number: {"epoch": 2, F1: 0.5} | dict.fromkeys(GAINS, loss) for number, loss in ((0, 2.0), (1, 1.0))}
    live, again = (SuccessiveHalving(make({"rank": "signals"}, num_samples=2)) for _ in range(2))
    for number, row in rows.items():
        live.judge(Report(number, points[number], 2, row))
    again.rebuild([TrialRecord(n, Path(), points[n], [row], None, None, None) for n, row in rows.items()])
    assert kept(live) == kept(again) == (0,)
    assert cut(live) == cut(again)


# --- who is waited for ---------------------------------------------------------------------------------------------


def test_a_dead_trial_is_not_waited_for_and_takes_no_place_from_the_living() -> None:
    rules = halving(*([number / 10, None] for number in range(8)), [0.99], num_samples=9)
    assert rules.judge(report(0, 2, None)) == PAUSE
    assert [rung.missing for rung in rules.open_rungs()] == [(8,)]
    rules.end(8, Verdict.FAILED)
    assert kept(rules) == (7, 6, 5)


def test_a_trial_that_begins_again_is_waited_for() -> None:
    rules = halving([0.5, 0.5], [0.6, 0.6], [0.7])
    rules.end(2, Verdict.FAILED)
    assert kept(rules) == (1,)
    rules.begin(2)
    assert kept(rules) == () and rules.next_turn(()) == Turn(2)


def test_a_converged_trial_counts_with_its_value() -> None:
    rules = halving([0.9], [0.5], [0.5])
    rules.end(0, Verdict.PLATEAUED)
    for number in (1, 2):
        rules.judge(report(number, 2, 0.5))
    assert kept(rules) == (0,)
    assert cut(rules).keys() == {1, 2}


def test_an_epoch_that_comes_again_changes_nothing() -> None:
    """Trial 0 has 0.9 when it converges, on its way to the first rung."""
    rules = halving([0.1, 0.9], [0.5] * 4, [0.5] * 4, numbers={"rank": "current", "grace_period": 4})
    rules.judge(report(0, 1, 0.1))
    rules.end(0, Verdict.PLATEAUED)
    assert kept(rules) == (0,)


def test_an_interrupted_trial_is_waited_for() -> None:
    rules = halving([0.5, 0.5], [])
    rules.end(1, Verdict.INTERRUPTED)
    assert rules.judge(report(0, 2, 0.5)) == PAUSE
    assert rules.next_turn((0,)) == Turn(1)


def test_a_slot_without_work_begins_the_next_batch() -> None:
    rules = halving([0.5, 0.5], num_samples=6, numbers={"batch": 3})
    assert rules.next_turn({1, 2}) == Turn(3)
    rules.judge(report(1, 2, 0.6))
    rules.judge(report(2, 2, 0.4))
    assert cut(rules).keys() == {0, 2}, "those that are cut end first"
    rules.end(0, Verdict.PRUNED)
    rules.end(2, Verdict.PRUNED)
    assert rules.next_turn({3}) == Turn(1), "then those that are kept"
    assert rules.next_turn({3, 1}) == Turn(4)
    assert rules.next_turn({1, 3, 4, 5}) is None


def test_of_those_that_are_kept_the_best_trains_first() -> None:
    rules = halving(*([score, score] for score in (0.3, 0.05, 0.1, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0)))
    for number in cut(rules):
        rules.end(number, Verdict.PRUNED)
    busy: list[int] = []
    while (turn := rules.next_turn(busy)) is not None:
        assert turn.ending is None
        busy.append(turn.number)
    assert busy == [3, 0, 2]


def test_the_rungs_that_were_reached_and_those_that_wait_are_told_batch_by_batch() -> None:
    rules = halving([0.5, 0.5], [0.6, 0.6], [0.4, 0.4], [0.3, 0.3], num_samples=5, numbers={"batch": 3})
    told = [(rung.batch, rung.milestone, rung.missing) for rung in rules.reached_rungs()]
    assert told == [(0, 2, ()), (1, 2, (4,))]
    assert [(rung.batch, rung.milestone, rung.missing) for rung in rules.open_rungs()] == [(1, 2, (4,))]


def test_a_study_that_runs_out_of_points_judges_the_last_batch_as_it_is() -> None:
    rules = halving([0.0, 0.0], [0.1], num_samples=18)
    assert rules.judge(report(1, 2, 0.1)) == PAUSE
    rules.limit(2)
    assert rules.judge(report(1, 2, 0.1)) == CONTINUE
    assert cut(rules).keys() == {0}


def test_a_trial_whose_folder_was_removed_counts_as_failed() -> None:
    """Trial 1 is gone, so trial 3 makes up the three that are wanted; the first batch does not wait for trial 1."""
    world = World(make({"batch": 3}, num_samples=3), seed=3)
    world.rows = {number: [{"epoch": epoch, F1: number / 10} for epoch in (1, 2)] for number in (0, 2)}
    rules = SuccessiveHalving(world.settings)
    rules.rebuild(world.record())
    assert kept(rules) == (2,)
    assert rules.next_turn({0, 2}) == Turn(3) and rules.next_turn({0, 2, 3}) is None


def test_settings_without_rungs_are_refused() -> None:
    with pytest.raises(ValueError, match="scheduler is none"):
        SuccessiveHalving(Settings(data="d.yaml", space={}, scheduler=None))
    with pytest.raises(ValueError, match="is None: call"):
        SuccessiveHalving(Settings(data="d.yaml", space={}, scheduler="halving"))
