"""Synchronous halving: what it decides follows from the curves alone, whoever comes first and however often it dies."""

from __future__ import annotations

import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.utils.util import flatten_dict

from yolotune.config.settings import Settings
from yolotune.record.study import Ending, TrialRecord, Verdict
from yolotune.schedulers.halving import SuccessiveHalving, Turn, Word
from yolotune.schedulers.plateau import Endings
from yolotune.schedulers.ranking import GAINS, losses
from yolotune.schedulers.stop import Stop
from yolotune.tuner.pausing import Halving

F1 = "seg_metrics/F1"


def make(**given: Any) -> Settings:
    asha = {"grace_period": 2, "reduction_factor": 3, "batch": 9, **given.pop("asha", {})}
    return Settings(data="d.yaml", **{"epochs": 20, "num_samples": 18, "scheduler": "halving", "asha": asha, **given})


class World:
    """Trains trials of a study in slots, in an order drawn at random; an epoch of a trial is a number of its curve."""

    def __init__(self, study: Settings, seed: int, slots: int = 2) -> None:
        self.study = study
        self.draw = random.Random(seed)
        self.slots = slots
        curves = random.Random(17)
        self.curves = [[curves.choice([curves.random(), 0.5]) for _ in range(study.epochs)] for _ in range(60)]
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
        rules = SuccessiveHalving(self.study)
        rules.rebuild(self.record())
        busy: list[int] = []
        for _ in range(steps):
            while len(busy) < self.slots and (turn := rules.turn(busy)) is not None:
                self.rows.setdefault(turn.number, [])
                if turn.cut is None:
                    busy.append(turn.number)
                else:
                    self.end(rules, turn.number, Ending(Verdict.PRUNED, turn.cut))
            if not busy:
                return True
            number = busy.pop(self.draw.randrange(len(busy)))
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
        rows.append({"epoch": epoch, F1: value} | dict.fromkeys(GAINS, 1 / (1 + 7 * value * epoch % 3)))
        rules.report(number, epoch, value, losses(rows[-1], {}))
        if epoch == self.study.epochs:
            self.end(rules, number, Ending(Verdict.COMPLETED, "all"))
            return False
        word = rules.word(number)
        if word is Word.CUT:
            self.end(rules, number, Ending(Verdict.PRUNED, rules.reason(number)))
        return word is Word.TRAIN

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


@settings(max_examples=150, deadline=None)
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
    study = make(num_samples=trials, asha={"reduction_factor": factor, "batch": batch, "grace_period": grace})
    one, other = World(study, 0, slots=1), World(study, seed, slots)
    one.fails = other.fails = fails
    assert one.run() and len(one.endings) == trials, "nobody waits for ever"
    for steps in kills:  # each ends the driver, wherever it is; the next starts from the record
        other.run(steps)
    assert other.run()
    assert other.outcome == one.outcome


def test_nine_trials_leave_three_then_one() -> None:
    world = World(make(num_samples=9, asha={"rank": "best"}), seed=1)
    rules = SuccessiveHalving(world.study)
    assert rules.milestones == (2, 6, 18)
    world.run()
    lengths = sorted(len(rows) for rows in world.rows.values())
    assert lengths == [2] * 6 + [6, 6, 20]
    assert [ending.verdict for ending in world.endings.values()].count(Verdict.COMPLETED) == 1
    first = sorted(range(9), key=lambda number: (-max(world.curves[number][:2]), number))[:3]
    second = sorted(first, key=lambda number: (-max(world.curves[number][:6]), number))[0]
    assert {number for number, rows in world.rows.items() if len(rows) >= 6} == set(first)
    assert len(world.rows[second]) == 20


def rules_with(*scores: float | None, **given: Any) -> SuccessiveHalving:
    """Returns the rungs of one batch whose trials stand at the first rung, epoch 2, with these scores."""
    rules = SuccessiveHalving(make(num_samples=len(scores), **given))
    for number, score in enumerate(scores):
        rules.report(number, 1, score)
        rules.report(number, 2, None)
    return rules


def kept(rules: SuccessiveHalving) -> tuple[int, ...]:
    return rules.meetings(0)[0].kept


def test_a_cut_says_where_against_whom_and_what_was_needed() -> None:
    rules = rules_with(0.3, 0.05, 0.1, 0.2, 0.07, 0.01, 0.02, 0.03, None)
    assert kept(rules) == (0, 3, 2)
    assert rules.reason(4) == f"rung at epoch 2: {F1} 0.0700 was not among the best 3 of 9 (needed 0.1000)"
    assert rules.reason(8) == f"rung at epoch 2: {F1} none was not among the best 3 of 9 (needed 0.1000)"
    assert rules.turn(()) == Turn(1, rules.reason(1))


def test_of_losses_the_lowest_are_kept() -> None:
    rules = SuccessiveHalving(make(num_samples=3, objective="val/seg_loss"))
    for number, loss in enumerate((2.0, 1.0, 3.0)):
        rules.report(number, 2, loss)
    assert kept(rules) == (1,)
    assert rules.reason(0) == "rung at epoch 2: val/seg_loss 2.0000 was not the best of 3 (needed 1.0000)"


def test_equal_scores_are_kept_by_number_and_one_at_least() -> None:
    assert kept(rules_with(*[0.5] * 9)) == (0, 1, 2)
    assert kept(rules_with(0.1, 0.1)) == (0,)
    assert kept(rules_with(None, None, None)) == (0,), "a trial without a value too, if no other has one"


def test_the_best_epoch_counts_unless_the_last_is_asked_for() -> None:
    for rank, expected in (("best", (0,)), ("current", (1,))):
        rules = SuccessiveHalving(make(num_samples=2, asha={"rank": rank}))
        for number, values in enumerate(([0.9, 0.1], [0.3, 0.4])):
            for epoch, value in enumerate(values, start=1):
                rules.report(number, epoch, value)
        assert kept(rules) == expected


def test_what_comes_after_the_rung_does_not_count_there() -> None:
    """A killed process may have trained an epoch that nobody asked for."""
    rules = SuccessiveHalving(make(num_samples=3))
    for number, values in enumerate(([0.1, 0.2, 0.9], [0.3, 0.3], [0.2, 0.25])):
        for epoch, value in enumerate(values, start=1):
            rules.report(number, epoch, value)
    assert kept(rules) == (1,)


def test_a_dead_trial_is_not_waited_for_and_takes_no_place_from_the_living() -> None:
    rules = SuccessiveHalving(make(num_samples=9))
    for number in range(8):
        rules.report(number, 2, number / 10)
        assert rules.word(number) is Word.WAIT
    rules.report(8, 1, 0.99)
    rules.end(8, Verdict.FAILED)
    assert kept(rules) == (7, 6, 5)


def test_a_converged_trial_counts_with_its_value() -> None:
    rules = SuccessiveHalving(make(num_samples=3))
    rules.report(0, 1, 0.9)
    rules.end(0, Verdict.PLATEAUED)
    for number in (1, 2):
        rules.report(number, 2, 0.5)
    assert kept(rules) == (0,)
    assert [rules.word(number) for number in (1, 2)] == [Word.CUT, Word.CUT]


def test_an_interrupted_trial_is_waited_for() -> None:
    rules = SuccessiveHalving(make(num_samples=2))
    rules.report(0, 2, 0.5)
    rules.end(1, Verdict.INTERRUPTED)
    assert rules.word(0) is Word.WAIT and rules.turn((0,)) == Turn(1, None)


def test_a_slot_without_work_begins_the_next_batch() -> None:
    rules = SuccessiveHalving(make(num_samples=6, asha={"batch": 3}))
    rules.report(0, 2, 0.5)
    assert rules.turn({1, 2}) == Turn(3, None)
    rules.report(1, 2, 0.6)
    rules.report(2, 2, 0.4)
    assert rules.turn({3}) == Turn(0, rules.reason(0)), "those that are cut end first"
    rules.end(0, Verdict.PRUNED)
    rules.end(2, Verdict.PRUNED)
    assert rules.turn({3}) == Turn(1, None), "then those that are kept"
    assert rules.turn({3, 1}) == Turn(4, None)


def test_by_signals_low_losses_outweigh_an_f1_that_has_not_begun() -> None:
    for rank, first in (("best", 1), ("signals", 0)):
        rules = SuccessiveHalving(make(num_samples=3, asha={"rank": rank}))
        for number, (value, loss) in enumerate([(0.0, 0.5), (0.1, 1.0), (0.05, 2.0)]):
            rules.report(number, 2, value, (-loss, -loss))
        assert kept(rules) == (first,)
    assert rules.reason(1) == (
        "rung at epoch 2: seg_metrics/F1 0.1000 was not the best of 3 by that and the training losses"
    )


def test_a_study_that_runs_out_of_points_judges_the_last_batch_as_it_is() -> None:
    rules = SuccessiveHalving(make())
    for number in range(2):
        rules.report(number, 2, number / 10)
    assert rules.word(1) is Word.WAIT
    rules.no_more(2)
    assert (rules.word(0), rules.word(1)) == (Word.CUT, Word.TRAIN)
    assert rules.turn({1}) == Turn(0, rules.reason(0))


def test_a_trial_whose_folder_was_removed_counts_as_failed() -> None:
    """Trial 1 is gone, so trial 3 makes up the three that are wanted; the first batch does not wait for trial 1."""
    world = World(make(num_samples=3, asha={"batch": 3}), seed=3)
    world.rows = {number: [{"epoch": epoch, F1: number / 10} for epoch in (1, 2)] for number in (0, 2)}
    rules = SuccessiveHalving(world.study)
    rules.rebuild(world.record())
    assert kept(rules) == (2,)
    assert rules.turn({0, 2}) == Turn(3, None) and rules.turn({0, 2, 3}) is None


# --- what Ray is told ------------------------------------------------------------------------------------------------


class Controller:
    """Ray's tune controller as far as a scheduler sees it."""

    def __init__(self, *trials: Any) -> None:
        self.trials = list(trials)
        self.stopped: list[int] = []

    def get_live_trials(self) -> list[Any]:
        return self.trials

    def stop_trial(self, trial: Any) -> None:
        self.stopped.append(trial.config["number"])


class RayTrial(SimpleNamespace):
    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config


def ray_trial(number: int, status: str = Trial.RUNNING, **config: Any) -> Any:
    return RayTrial(config={"number": number, "point": {}, **config}, status=status)


def scheduler(stop: Stop | None = None, **given: Any) -> tuple[Halving, Endings]:
    endings = Endings()
    return Halving(make(num_samples=3, concurrent=1, **given), endings, stop or Stop()), endings


def report(rules: Halving, trial: Any, value: float, epoch: int = 2) -> str:
    return rules.on_trial_result(None, trial, {"epoch": epoch, F1: value})


def test_a_slot_is_given_to_one_trial_at_a_time() -> None:
    rules, _ = scheduler()
    trials = [ray_trial(number) for number in range(3)]
    assert rules.turn() == Turn(0, None)
    rules.on_trial_add(None, trials[0])
    assert rules.turn() is None, "the slot is taken"
    assert report(rules, trials[0], 0.5, epoch=1) == TrialScheduler.CONTINUE
    assert report(rules, trials[0], 0.5) == TrialScheduler.PAUSE
    assert rules.turn() is None, "its process has not left yet"
    trials[0].status = Trial.PAUSED
    assert rules.choose_trial_to_run(Controller(trials[0])) is None
    assert rules.turn() == Turn(1, None)


def test_the_last_to_come_is_told_at_once_and_the_others_when_a_slot_is_free() -> None:
    rules, endings = scheduler()
    trials = [ray_trial(number) for number in range(3)]
    for trial, value in zip(trials, (0.5, 0.7), strict=False):
        rules.on_trial_add(None, trial)
        assert report(rules, trial, value) == TrialScheduler.PAUSE
        trial.status = Trial.PAUSED
    rules.on_trial_add(None, trials[2])
    assert report(rules, trials[2], 0.6) == TrialScheduler.STOP
    assert endings.keys() == {2} and endings[2].verdict is Verdict.PRUNED
    controller = Controller(*trials)
    assert rules.choose_trial_to_run(controller) is None, "the slot is taken"
    rules.on_trial_complete(None, trials[2], {"epoch": 2, F1: 0.6})
    trials[2].status = Trial.TERMINATED
    first = rules.choose_trial_to_run(controller)
    assert first is trials[0] and rules.choose_trial_to_run(controller) is first, "asked again, it says the same"
    assert first.config["cut"] == endings[0].reason
    first.status = Trial.RUNNING
    assert rules.choose_trial_to_run(controller) is None
    rules.on_trial_complete(None, first, {"epoch": 0, F1: math.nan, "verdict": "pruned", "reason": "cut"})
    first.status = Trial.TERMINATED
    kept = rules.choose_trial_to_run(controller)
    assert kept is trials[1] and "cut" not in kept.config


def test_what_ray_hands_on_counts_as_what_is_recorded() -> None:
    """Ray flattens a report; the losses in it let the lower F1 win, live and rebuilt."""
    rules, endings = scheduler(asha={"rank": "signals"})
    records = []
    for number, (value, loss) in enumerate([(0.0, 0.5), (0.1, 1.0), (0.05, 2.0)]):
        row = {"epoch": 2, F1: value} | dict.fromkeys(GAINS, loss)
        rules.on_trial_add(None, ray_trial(number))
        said = rules.on_trial_result(None, ray_trial(number), flatten_dict({"epoch": 2, F1: value, "report": row}))
        records.append(TrialRecord(number, Path(), {}, [row], None, None, None))
    again = SuccessiveHalving(make(num_samples=3, asha={"rank": "signals"}))
    again.rebuild(records)
    assert kept(again) == (0,)
    assert said == TrialScheduler.STOP and endings[2].reason == again.reason(2)
    assert "training losses" in endings[2].reason


def test_a_trial_whose_process_died_is_waited_for_if_it_is_started_again() -> None:
    rules, _ = scheduler()
    trials = [ray_trial(number) for number in range(3)]
    for trial in trials[:2]:
        rules.on_trial_add(None, trial)
        assert report(rules, trial, 0.5) == TrialScheduler.PAUSE
        trial.status = Trial.PAUSED
    rules.on_trial_add(None, trials[2])
    rules.on_trial_error(None, trials[2])
    rules.again(2)
    trials[2].status = Trial.ERROR
    assert rules.choose_trial_to_run(Controller(*trials[:2])) is None and rules.turn() == Turn(2, None)
    trials[2] = ray_trial(2)
    rules.on_trial_add(None, trials[2])
    assert rules.choose_trial_to_run(Controller(*trials)) is None and rules.turn() is None
    rules.on_trial_error(None, trials[2])
    trials[2].status = Trial.ERROR
    assert rules.choose_trial_to_run(Controller(*trials)) is trials[1], "cut by number: both have 0.5"


def test_a_study_that_ends_lets_go_of_paused_trials() -> None:
    stop = Stop()
    rules, endings = scheduler(stop)
    trial = ray_trial(0)
    rules.on_trial_add(None, trial)
    report(rules, trial, 0.5)
    trial.status = Trial.PAUSED
    stop.signal()
    controller = Controller(trial)
    assert rules.choose_trial_to_run(controller) is None
    assert controller.stopped == [0] and endings[0].verdict is Verdict.INTERRUPTED


def test_a_study_without_rungs_is_refused() -> None:
    with pytest.raises(ValueError, match="asha is None"):
        SuccessiveHalving(Settings(data="d.yaml", scheduler="none"))
