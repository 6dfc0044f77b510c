"""The conductor with the real record, search and schedulers, and trials that say what they are told to: no Ray."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from yolotune.config.layers import make_settings
from yolotune.config.space import Point
from yolotune.record.slots import read_slots
from yolotune.record.study import StudyRecord, TrialRecord, read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.schedulers import PlateauRule, make_scheduler, resolve
from yolotune.schedulers.base import Action, Decision
from yolotune.search import Optimizer
from yolotune.tracking import NullTracker, TrackingContext
from yolotune.training.messages import Said
from yolotune.training.usage import Usage
from yolotune.tuner.assignment import Assignment, Cause, Death
from yolotune.tuner.conductor import Conductor
from yolotune.tuner.events import Listener
from yolotune.tuner.parts import Parts
from yolotune.tuner.plan import Plan, Resources
from yolotune.tuner.slots import Slots
from yolotune.tuner.stop import StudyStop

METRIC = "seg_metrics/F1"
Curve = Callable[[int, int], float]


class Told(Listener):
    """Keeps what it was told, as words."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def trial_started(self, number: int, point: Point) -> None:
        self.words.append(f"start {number}")

    def epoch_reported(self, number: int, row: dict[str, Any]) -> None:
        self.words.append(f"epoch {number}.{row['epoch']}")

    def trial_paused(self, number: int) -> None:
        self.words.append(f"pause {number}")

    def trial_resumed(self, number: int) -> None:
        self.words.append(f"resume {number}")

    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None:
        self.words.append(f"end {number} {ending.verdict}{' best' if best else ''}")


class Driver:
    """Does what Ray does: gives free slots to trials, trains an epoch of each in turn, and obeys the decisions."""

    def __init__(self, folder: Path, *, recorded: Sequence[TrialRecord] = (), **given: Any) -> None:
        space = {"lr0": "loguniform(1e-4, 1e-1)"}
        base: dict[str, Any] = {"data": "d.yaml", "preset": "none", "space": space, "epochs": 8, "num_samples": 4}
        base["concurrent"] = 1
        self.settings = resolve(make_settings(**{**base, **given}))
        record = RecordWriter(folder, metric=METRIC, mode="max", uid="abcdef01")
        if recorded:
            record.reopen(recorded, self.settings.model_dump())
        else:
            record.create(self.settings.model_dump(), {})
        self.told = Told()
        auto = self.settings.concurrent == "auto"
        slots = 4 if self.settings.concurrent == "auto" else self.settings.concurrent
        resources = Resources(gpus=0.0, cpus=4, slots=slots, auto=auto, gpu_share=0.0, cpu_share=1.0)
        plan = Plan(
            settings=self.settings,
            dataset=cast(Any, None),
            model="yolo11n-seg.yaml",
            points=[{"lr0": 0.001}],
            warm=cast(Any, None),
            resources=resources,
            tracking="disabled",
            disk=0,
            notes=[],
        )
        context = TrackingContext(mode="disabled", project="p", study="s", uid="u", folder=folder / "none")
        self.stop = StudyStop(self.settings.cost_limit, trained={trial.number: len(trial.epochs) for trial in recorded})
        parts = Parts(
            plan=plan,
            record=record,
            search=Optimizer(self.settings, plan.points, recorded=recorded),
            scheduler=make_scheduler(self.settings),
            plateau=PlateauRule(self.settings) if self.settings.plateau else None,
            tracking=NullTracker.create(context).open_study({}, "max"),
            listener=self.told,
            slots=Slots(resources, self.settings),
            stop=self.stop,
        )
        self.conductor = Conductor(parts, recorded)
        self.folder = folder
        self.epochs = {trial.number: len(trial.epochs) for trial in recorded}
        self.running: dict[int, Assignment] = {}
        self.paused: dict[int, Assignment] = {}
        self.usage: Usage | None = None

    def fill_slots(self) -> None:
        while True:
            turn = self.conductor.next_paused(self.running)
            if turn is not None:
                assignment = self.paused.pop(turn.number)
                assignment = Assignment(assignment.number, assignment.point, turn.ending)
            else:
                found = self.conductor.next_trial(self.running)
                if found is None:
                    return
                assignment = found
            self.running[assignment.number] = assignment
            self.conductor.start(assignment)

    def train(self, number: int, curve: Curve) -> None:
        """Trains one epoch of a trial, as far as it may, and reports it."""
        assignment = self.running[number]
        if assignment.ending is not None:
            decision = self.say(number, Said(None, assignment.ending, {}))
        else:
            epoch = self.epochs[number] = self.epochs.get(number, 0) + 1
            value = curve(number, epoch)
            row = {"epoch": epoch, METRIC: value, "train_seg_metrics/F1": value, "seconds": 1.0}
            decision = self.say(number, Said(row, self._own_ending(epoch, value), {}, self.usage))
        if decision.action is not Action.CONTINUE:
            del self.running[number]
        if decision.action is Action.PAUSE:
            self.paused[number] = assignment
            self.conductor.pause(number)

    def say(self, number: int, said: Said) -> Decision:
        return self.conductor.report(number, said, self.running)

    def die(self, number: int, cause: Cause = Cause.DIED) -> None:
        self.conductor.died(self.running.pop(number), Death(cause, "killed"), self.running)

    def _own_ending(self, epoch: int, value: float) -> Ending | None:
        if not math.isfinite(value):
            return Ending(Verdict.DIVERGED, "not finite")
        return Ending(Verdict.COMPLETED, f"all {epoch} epochs") if epoch == self.settings.epochs else None

    def run(self, curve: Curve, most: int = 1000) -> StudyRecord:
        for _ in range(most):
            self.fill_slots()
            if not self.running:
                break
            for number in list(self.running):
                if number in self.running:
                    self.train(number, curve)
        for number in list(self.paused):
            self.conductor.end_paused(number)
        self.conductor.close()
        return read_study(self.folder)


def rising(number: int, epoch: int) -> float:
    return (0.9 - 0.1 * number) * (1 - 0.5**epoch)


def test_a_report_is_recorded_then_judged_then_told(tmp_path: Path) -> None:
    record = Driver(tmp_path / "s", num_samples=2, epochs=2).run(rising)
    assert [trial.verdict for trial in record.trials] == [Verdict.COMPLETED] * 2
    assert [len(trial.epochs) for trial in record.trials] == [2, 2]
    assert record.best is record.trials[0] and (tmp_path / "s" / "best.yaml").exists()


def test_what_is_told_is_in_the_record_already(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", num_samples=1, epochs=2)
    seen: list[int] = []
    tell = driver.told.epoch_reported
    driver.told.epoch_reported = lambda number, row: (  # type: ignore[method-assign]
        seen.append(len(read_study(driver.folder).trials[number].epochs)),
        tell(number, row),
    )[1]
    driver.run(rising)
    assert seen == [1, 2]
    assert driver.told.words == ["start 0", "epoch 0.1", "epoch 0.2", "end 0 completed best"]


def test_asha_ends_a_trial_with_the_verdict_that_is_returned_and_recorded(tmp_path: Path) -> None:
    scheduler = {"name": "asha", "grace_period": 2, "reduction_factor": 2}
    driver = Driver(tmp_path / "s", scheduler=scheduler)
    record = driver.run(rising)
    assert [trial.verdict for trial in record.trials] == [Verdict.COMPLETED] + [Verdict.PRUNED] * 3
    assert [len(trial.epochs) for trial in record.trials] == [8, 2, 2, 2]
    ending = record.trials[1].ending
    assert ending is not None and ending.reason.startswith("rung at epoch 2: seg_metrics/F1 0.6000 was below")


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({"scheduler": {"name": "asha", "grace_period": 2, "reduction_factor": 2}}, Verdict.PRUNED),
        ({"scheduler": {"name": "halving", "grace_period": 2, "reduction_factor": 2, "batch": 2}}, Verdict.PRUNED),
        (
            {"scheduler": "none", "plateau": {"rule": "std", "num_results": 2, "grace_period": 2, "std": 0.2}},
            Verdict.PLATEAUED,
        ),
    ],
)
def test_a_verdict_that_a_killed_driver_owed_is_made_when_the_study_is_resumed(
    tmp_path: Path, given: dict[str, Any], verdict: Verdict
) -> None:
    whole = Driver(tmp_path / "whole", num_samples=2, **given).run(rising)
    assert whole.trials[1].verdict is verdict and len(whole.trials[1].epochs) == 2
    killed = [*whole.trials[:1], dataclasses.replace(whole.trials[1], ending=None, value=None, best_epoch=None)]
    driver = Driver(tmp_path / "whole", recorded=killed, num_samples=2, **given)
    record = driver.run(lambda number, epoch: pytest.fail("it trains no further"))
    assert [trial.ending for trial in record.trials] == [trial.ending for trial in whole.trials]


def test_a_plateau_rule_on_a_metric_that_nobody_reports_ends_the_study(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", plateau={"metric": "val/seg_loss"})
    record = driver.run(rising)
    assert record.verdicts == {"interrupted": 1}
    assert driver.stop.failure is not None and "no trial reports val/seg_loss" in driver.stop.failure


def test_a_diverged_epoch_ends_the_trial_whatever_the_rules_say(tmp_path: Path) -> None:
    scheduler = {"name": "asha", "grace_period": 1, "reduction_factor": 2}
    record = Driver(tmp_path / "s", scheduler=scheduler).run(
        lambda number, epoch: math.nan if number == 1 and epoch == 3 else 0.5 + 0.01 * epoch
    )
    assert record.trials[1].verdict is Verdict.DIVERGED and len(record.trials[1].epochs) == 3
    assert record.trials[1].value == 0.52, "its epochs before count"


def test_a_converged_trial_ends_by_the_plateau_rule(tmp_path: Path) -> None:
    plateau = {"rule": "std", "num_results": 3, "grace_period": 3, "std": 0.05}
    record = Driver(tmp_path / "s", num_samples=1, scheduler="none", plateau=plateau).run(lambda number, epoch: 0.5)
    ending = record.trials[0].ending
    assert ending is not None and ending.verdict is Verdict.PLATEAUED and len(record.trials[0].epochs) == 3
    assert ending.reason.startswith("train_seg_metrics/F1: standard deviation 0.0000")


@pytest.mark.parametrize("concurrent", [1, 2, 3])
def test_a_budget_in_epochs_is_never_exceeded_and_a_resume_has_the_rest(tmp_path: Path, concurrent: int) -> None:
    given = {"scheduler": "none", "concurrent": concurrent, "num_samples": 4}
    record = Driver(tmp_path / "s", budget="19", **given).run(rising)
    assert record.epochs_trained == 19
    interrupted = [trial for trial in record.trials if trial.verdict is Verdict.INTERRUPTED]
    assert interrupted and all("budget of 19 epochs" in str(trial.ending) for trial in interrupted)
    whole = Driver(tmp_path / "s", recorded=record.trials, **given).run(rising)
    assert [trial.verdict for trial in whole.trials] == [Verdict.COMPLETED] * 4
    assert whole.epochs_trained == 32


def test_after_a_signal_each_trial_ends_at_its_next_report(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", concurrent=2, scheduler="none")
    driver.run(rising, most=3)
    driver = Driver(tmp_path / "s", recorded=read_study(tmp_path / "s").trials, concurrent=2, scheduler="none")
    driver.fill_slots()
    driver.stop.signal()
    record = driver.run(rising)
    assert driver.conductor.over
    assert [trial.verdict for trial in record.trials] == [Verdict.INTERRUPTED] * 2
    assert [len(trial.epochs) for trial in record.trials] == [4, 4]


def test_a_trial_whose_process_died_comes_again_first_and_fails_after_the_last_restart(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", max_failures=1, num_samples=2)
    driver.fill_slots()
    driver.train(0, rising)
    for _ in range(2):
        driver.die(0)
        driver.fill_slots()
    record = driver.run(rising)
    assert [trial.verdict for trial in record.trials] == [Verdict.FAILED, Verdict.COMPLETED]
    assert record.trials[0].ending == Ending(Verdict.FAILED, "the trial's process died 2 times")
    assert (record.trials[0].restarts, len(record.trials[0].epochs)) == (1, 1)


def test_a_process_that_cannot_be_started_is_a_failed_trial(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", max_failures=0, num_samples=1)
    assignment = driver.conductor.next_trial(())
    assert assignment is not None
    driver.conductor.died(assignment, Death(Cause.DIED, "no such file"), ())
    assert driver.conductor.over
    ending = read_study(tmp_path / "s").trials[0].ending
    assert ending == Ending(Verdict.FAILED, "the trial's process could not be started: no such file")


def test_a_process_that_dies_after_the_verdict_changes_nothing(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", num_samples=1, epochs=1)
    driver.fill_slots()
    assignment = driver.running[0]
    driver.train(0, rising)
    driver.conductor.died(assignment, Death(Cause.DIED, "killed"), ())
    assert driver.conductor.over
    assert read_study(tmp_path / "s").trials[0].verdict is Verdict.COMPLETED


def test_a_report_that_comes_twice_is_one_epoch(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", num_samples=1, budget="8")
    driver.fill_slots()
    driver.train(0, rising)
    driver.epochs[0] = 0  # its process died and it trains the first epoch again
    driver.train(0, rising)
    assert driver.told.words.count("epoch 0.1") == 1
    assert driver.run(rising).trials[0].verdict is Verdict.COMPLETED, "the budget counts an epoch once"


def test_the_study_ends_when_its_first_trials_fail_alike(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", num_samples=9)
    for number in range(3):
        driver.fill_slots()
        driver.say(number, Said(None, Ending(Verdict.FAILED, "no such image"), None))
        del driver.running[number]
    assert driver.conductor.next_trial(()) is None and driver.conductor.over
    assert driver.stop.failure == "the first 3 trials failed alike: no such image"


def test_a_full_disk_of_a_trial_ends_the_study_and_the_trial_continues_later(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", num_samples=2)
    driver.fill_slots()
    driver.say(0, Said(None, Ending(Verdict.INTERRUPTED, "no space left on the disk"), {}))
    assert driver.stop.failure == "trial 0: no space left on the disk. Free some space, then resume the study."


@pytest.mark.parametrize("concurrent", [1, 2, 4])
def test_halving_pauses_cuts_and_resumes_alike_in_any_number_of_slots(tmp_path: Path, concurrent: int) -> None:
    scheduler = {"name": "halving", "grace_period": 2, "reduction_factor": 3, "batch": 3}
    driver = Driver(tmp_path / "s", num_samples=6, concurrent=concurrent, scheduler=scheduler)
    record = driver.run(rising)
    assert [trial.verdict for trial in record.trials] == [Verdict.COMPLETED, *[Verdict.PRUNED] * 2] * 2
    assert [len(trial.epochs) for trial in record.trials] == [8, 2, 2] * 2
    assert "pause 0" in driver.told.words and "resume 0" in driver.told.words


def test_paused_trials_are_interrupted_when_the_study_ends_and_continue_when_it_is_resumed(tmp_path: Path) -> None:
    scheduler = {"name": "halving", "grace_period": 2, "reduction_factor": 3, "batch": 3}
    driver = Driver(tmp_path / "s", num_samples=3, scheduler=scheduler)
    for _ in range(2):
        driver.fill_slots()
        for _ in range(2):
            driver.train(next(iter(driver.running)), rising)
    assert sorted(driver.paused) == [0, 1]
    driver.stop.signal()
    record = driver.run(rising)
    assert [trial.verdict for trial in record.trials] == [Verdict.INTERRUPTED] * 2
    whole = Driver(tmp_path / "s", num_samples=3, scheduler=scheduler, recorded=record.trials).run(rising)
    assert [(str(trial.verdict), len(trial.epochs)) for trial in whole.trials] == [
        ("completed", 8),
        ("pruned", 2),
        ("pruned", 2),
    ]


# --- slots and memory --------------------------------------------------------------------------------------------

OOM = Ending(Verdict.OOM, "CUDA out of memory")
USAGE = Usage(seconds=2.0, steady=True, cores=1.0, memory=10**9, available=10**11)


def test_a_study_opens_its_slots_once_it_knows_what_a_trial_takes(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", concurrent="auto", scheduler="none", num_samples=6)
    driver.usage = USAGE
    driver.fill_slots()
    assert list(driver.running) == [0] and driver.running[0].place.alone
    driver.train(0, rising)
    driver.fill_slots()
    assert list(driver.running) == [0, 1, 2, 3] and not driver.running[1].place.alone
    driver.run(rising)
    opened = [(change.open, change.why) for change in read_slots(tmp_path / "s")]
    assert opened == [
        (4, "no more than 4 for this study"),
        (4, "4 trials at a time train 4.0 times as fast as one"),
    ]


def test_a_trial_that_runs_out_of_memory_beside_others_is_tried_with_fewer_and_then_alone(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", concurrent=3, scheduler="none", num_samples=4)
    driver.fill_slots()
    driver.train(0, rising)
    assert driver.say(0, Said(None, OOM, {})) == Decision(Action.STOP), "no verdict"
    del driver.running[0]
    driver.fill_slots()
    assert sorted(driver.running) == [1, 2], "a slot less"
    del driver.running[1]
    driver.fill_slots()
    assert sorted(driver.running) == [0, 2] and not driver.running[0].place.alone
    assert driver.say(0, Said(None, OOM, {})) == Decision(Action.STOP)
    del driver.running[0]
    driver.fill_slots()
    assert sorted(driver.running) == [2], "it waits until it is alone"
    del driver.running[2]
    driver.fill_slots()
    assert sorted(driver.running) == [0] and driver.running[0].place.alone
    assert driver.say(0, Said(None, OOM, {})).ending == OOM, "alone, it is its own fault"
    del driver.running[0]
    driver.fill_slots()
    assert len(driver.running) == 1 and not driver.running.popitem()[1].place.alone, "the others train on two slots"
    trial = read_study(tmp_path / "s").trials[0]
    assert (trial.ending, len(trial.epochs), trial.restarts) == (OOM, 1, 0)


def test_a_trial_that_is_alone_and_runs_out_of_memory_has_its_verdict(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", num_samples=2)
    driver.fill_slots()
    assert driver.say(0, Said(None, OOM, {})).ending == OOM


def test_memory_that_ray_guards_is_memory_that_ran_out(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", concurrent=2, scheduler="none", num_samples=2, max_failures=0)
    driver.fill_slots()
    driver.die(1, Cause.OUT_OF_MEMORY)
    driver.fill_slots()
    assert sorted(driver.running) == [0], "a slot less, and no verdict though no restart is allowed"
    del driver.running[0]
    driver.fill_slots()
    driver.die(1, Cause.OUT_OF_MEMORY)
    assert read_study(tmp_path / "s").trials[1].ending == Ending(Verdict.OOM, "killed")


def test_a_process_that_takes_on_no_more_trials_costs_no_restart(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", num_samples=1, epochs=1, max_failures=0)
    for _ in range(3):
        driver.fill_slots()
        driver.die(0, Cause.SPENT)
    assert driver.run(rising).trials[0].restarts == 0


def test_a_trial_that_lost_its_card_continues_in_another_process_as_often_as_one_whose_process_died(
    tmp_path: Path,
) -> None:
    lost = Said(
        None, Ending(Verdict.FAILED, "RuntimeError: CUDA error: unspecified launch failure"), {}, card_lost=True
    )
    driver = Driver(tmp_path / "s", scheduler="none", num_samples=1, max_failures=1)
    driver.fill_slots()
    driver.train(0, rising)
    assert driver.say(0, lost) == Decision(Action.STOP)
    del driver.running[0]
    driver.fill_slots()
    assert driver.say(0, lost).ending == lost.ending
    trial = read_study(tmp_path / "s").trials[0]
    assert (trial.verdict, len(trial.epochs), trial.restarts) == (Verdict.FAILED, 1, 1)


def test_a_trial_that_waits_to_be_tried_again_is_interrupted_when_the_study_ends(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "s", scheduler="none", num_samples=1)
    driver.fill_slots()
    driver.train(0, rising)
    driver.die(0)
    driver.stop.signal()
    assert driver.run(rising).verdicts == {"interrupted": 1}
