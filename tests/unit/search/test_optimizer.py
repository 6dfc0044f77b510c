"""What the optimizer suggests and what Optuna is told: the real Optuna."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import GridSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from yolotune.config.distributions import distribution
from yolotune.config.settings import Settings
from yolotune.config.space import Choice, Point, RandInt, Uniform
from yolotune.errors import UserError
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.search import Optimizer, Suggestion
from yolotune.search.optimizer import DUPLICATES, grid

F1 = "seg_metrics/F1"
SPACE = {"lr0": "loguniform(1e-5, 1e-1)", "warmup_epochs": "randint(0, 5)", "batch": "choice([8, 16])"}
POINT: Point = {"lr0": 0.01, "warmup_epochs": 0, "batch": 8}
COMPLETED = Ending(Verdict.COMPLETED, "all epochs")
PRUNED = Ending(Verdict.PRUNED, "rung")


def settings(**given: Any) -> Settings:
    return Settings(**{"data": "d.yaml", "space": SPACE, "num_samples": 50, **given})


def make(*points: Point, recorded: Sequence[TrialRecord] = (), **given: Any) -> Optimizer:
    return Optimizer(settings(**given), points, recorded=recorded)


def ask(optimizer: Optimizer, number: int | None = None) -> Suggestion:
    suggestion = optimizer.ask(number)
    assert suggestion is not None
    return suggestion


def finish(optimizer: Optimizer, number: int, values: Sequence[Any], ending: Ending = COMPLETED) -> FrozenTrial:
    """Reports epoch by epoch and ends a trial; returns what Optuna keeps of the first trial."""
    for epoch, value in enumerate(values, start=1):
        optimizer.report(number, epoch, value)
    optimizer.tell(number, ending)
    return optimizer.optuna_study.trials[0]


def of_record(number: int, point: Point, values: Sequence[float], ending: Ending | None = COMPLETED) -> TrialRecord:
    rows = [{"epoch": epoch, F1: value} for epoch, value in enumerate(values, start=1)]
    best = max(values, default=None)
    return TrialRecord(number, Path(), point, rows, ending, 1 if rows else None, best if ending else None)


def test_distributions_are_those_of_the_space() -> None:
    assert distribution(Uniform(0.0, 1.0)) == optuna.distributions.FloatDistribution(0.0, 1.0)
    assert distribution(Uniform(0.1, 1.0, log=True)) == optuna.distributions.FloatDistribution(0.1, 1.0, log=True)
    assert distribution(RandInt(0, 5)) == optuna.distributions.IntDistribution(0, 4)
    assert distribution(Choice((1, "a"))) == optuna.distributions.CategoricalDistribution((1, "a"))


# --- asking ------------------------------------------------------------------------------------------------------


def test_initial_points_come_first_in_their_order() -> None:
    other: Point = {"lr0": 0.001, "warmup_epochs": 3, "batch": 16}
    optimizer = make(other, POINT)
    assert [ask(optimizer), ask(optimizer)] == [Suggestion(0, other), Suggestion(1, POINT)]
    assert ask(optimizer).number == 2


def test_suggestions_have_the_types_that_ultralytics_takes() -> None:
    optimizer = make()
    for _ in range(6):
        assert [type(value) for value in ask(optimizer).point.values()] == [float, int, int]


def test_a_suggestion_can_be_changed_without_harm() -> None:
    optimizer = make(POINT, num_samples=1)
    ask(optimizer).point["lr0"] = 9.0
    optimizer.take_back(0)
    assert ask(optimizer).point == POINT


def test_as_many_trials_are_asked_for_as_the_study_has() -> None:
    optimizer = make(num_samples=3)
    assert optimizer.left == 3
    assert [ask(optimizer).number for _ in range(3)] == [0, 1, 2]
    assert optimizer.ask() is None and (optimizer.left, optimizer.begun) == (0, 3)


def lock_step(first: Optimizer, second: Optimizer, trials: int) -> list[bool]:
    """Runs two searches alongside, the same reports in the same order; whether each suggestion was equal."""
    equal = []
    for _ in range(trials):
        suggestions = [ask(optimizer) for optimizer in (first, second)]
        equal.append(suggestions[0] == suggestions[1])
        for optimizer, suggestion in zip((first, second), suggestions, strict=True):
            value = 1 / (1 + abs(math.log10(float(suggestion.point["lr0"])) + 3))
            finish(optimizer, suggestion.number, [value / 2, value])
    return equal


@pytest.mark.parametrize("search", ["tpe", "random"])
def test_the_same_seed_and_order_of_reports_give_the_same_suggestions(search: str) -> None:
    assert all(lock_step(make(search=search), make(search=search), 15))


def test_another_seed_gives_other_suggestions() -> None:
    assert lock_step(make(POINT, seed=1), make(POINT, seed=2), 4) == [True, False, False, False]


def test_a_sampler_that_is_given_as_an_object_is_used_as_it_is() -> None:
    class Counting(RandomSampler):
        asked = 0

        def sample_independent(self, *args: Any) -> Any:
            self.asked += 1
            return super().sample_independent(*args)

    sampler = Counting(seed=3)
    optimizer = Optimizer(settings(search="grid"), [POINT], sampler=sampler)
    assert ask(optimizer).point == POINT and sampler.asked == 0
    points = [ask(optimizer).point for _ in range(2)]
    assert sampler.asked == 6 and points[0] != points[1]
    assert optimizer.optuna_study.sampler is sampler
    other = Optimizer(settings(seed=1), [POINT], sampler=RandomSampler(seed=3))
    assert [ask(other).point for _ in range(3)] == [POINT, *points], "its own seed counts, not the study's"


@pytest.mark.parametrize(
    ("given", "said"),
    [(GridSampler({"lr0": [0.1]}), "search='grid'"), (RandomSampler, "an object such as"), ("tpe", "got 'tpe'")],
)
def test_what_cannot_be_used_as_a_sampler_is_refused(given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Optimizer(settings(), [], sampler=given)


# --- telling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [Verdict.COMPLETED, Verdict.PLATEAUED])
def test_a_finished_trial_is_told_with_its_best_epoch(verdict: Verdict) -> None:
    optimizer = make()
    ask(optimizer)
    told = finish(optimizer, 0, [0.1, 0.6, 0.3], Ending(verdict, "r"))
    assert (told.state, told.value) == (TrialState.COMPLETE, 0.6)
    assert told.user_attrs == {"trial": 0, "verdict": str(verdict), "reason": "r"}


def test_in_direction_min_the_best_epoch_is_the_lowest() -> None:
    optimizer = make(objective="val/seg_loss")
    ask(optimizer)
    assert finish(optimizer, 0, [3.0, 1.0, 2.0]).value == 1.0
    assert optimizer.optuna_study.direction is optuna.study.StudyDirection.MINIMIZE


def test_a_pruned_trial_is_pruned_with_its_epochs_as_steps() -> None:
    optimizer = make()
    ask(optimizer)
    told = finish(optimizer, 0, [0.1, math.nan, 0.3, None, 0.2], PRUNED)
    assert told.state is TrialState.PRUNED
    assert told.intermediate_values == {1: 0.1, 3: 0.3, 5: 0.2}


def test_an_epoch_that_is_reported_twice_is_told_once() -> None:
    optimizer = make()
    ask(optimizer)
    optimizer.report(0, 1, 0.1)
    told = finish(optimizer, 0, [0.9])
    assert (told.intermediate_values, told.value) == ({1: 0.1}, 0.1)


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.DIVERGED, Verdict.OOM, Verdict.INTERRUPTED])
def test_what_did_not_finish_is_a_failure(verdict: Verdict) -> None:
    optimizer = make()
    ask(optimizer)
    assert finish(optimizer, 0, [0.1, 0.2], Ending(verdict, "r")).state is TrialState.FAIL


@pytest.mark.parametrize("ending", [COMPLETED, PRUNED])
@pytest.mark.parametrize("values", [[], [math.nan]])
def test_so_is_an_end_without_a_value(values: list[float], ending: Ending) -> None:
    optimizer = make()
    ask(optimizer)
    assert finish(optimizer, 0, values, ending).state is TrialState.FAIL


def test_nothing_is_running_after_the_end() -> None:
    optimizer = make()
    for _ in range(4):
        ask(optimizer)
    finish(optimizer, 1, [0.5])
    optimizer.close()
    finish(optimizer, 0, [0.5])  # too late, or of a trial that nobody knows
    finish(optimizer, 17, [0.5])
    optimizer.take_back(17)
    states = [trial.state for trial in optimizer.optuna_study.trials]
    assert states == [TrialState.FAIL, TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL]
    assert optimizer.unfinished == ()


# --- finite spaces -----------------------------------------------------------------------------------------------

GRID = {"batch": "grid_search([8, 16])", "optimizer": "choice([AdamW, SGD])", "warmup_epochs": "randint(0, 3)"}
TWELVE = {"lr0": "choice([1e-3, 3e-3, 1e-2])", "warmup_epochs": "randint(0, 2)", "batch": "choice([8, 16])"}


@pytest.mark.parametrize("running", [1, 4])
def test_a_grid_tries_each_combination_once_and_then_ends(running: int) -> None:
    optimizer = make(search="grid", space=GRID)
    points: list[Point] = []
    while (suggestion := optimizer.ask()) is not None:
        points.append(suggestion.point)
        if suggestion.number >= running - 1:
            finish(optimizer, suggestion.number - running + 1, [0.5])
    assert optimizer.left == 0
    assert sorted(tuple(point.values()) for point in points) == sorted(product([8, 16], ["AdamW", "SGD"], range(3)))
    assert points == grid(settings(space=GRID)) != grid(settings(space=GRID, seed=1))


def test_an_initial_point_of_the_grid_is_not_tried_again() -> None:
    optimizer = make({"batch": 16}, {"batch": 8}, search="grid", space={"batch": "grid_search([8, 16])"})
    assert [ask(optimizer).point, ask(optimizer).point] == [{"batch": 16}, {"batch": 8}]
    assert optimizer.ask() is None


@pytest.mark.parametrize("search", ["tpe", "random"])
def test_each_point_of_a_small_space_is_suggested_once(search: str) -> None:
    optimizer = make(space=TWELVE, search=search, num_samples=40)
    points: list[tuple[Any, ...]] = []
    while (suggestion := optimizer.ask()) is not None:
        assert suggestion.number == len(points)
        points.append(tuple(suggestion.point.values()))
        finish(optimizer, suggestion.number, [float(suggestion.point["lr0"]) * 10])
    assert len(points) == len(set(points)) == 12
    assert (optimizer.left, optimizer.begun) == (0, 12)


def test_a_sampler_that_is_asked_again_draws_anew() -> None:
    optimizer = make(space=TWELVE, search="random")
    for number in range(9):
        assert ask(optimizer).number == number
    states = [trial.state for trial in optimizer.optuna_study.trials]
    assert 0 < states.count(TrialState.FAIL) < DUPLICATES, "refused, and another point was drawn soon"


# --- a study that continues --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "trials"), [("tpe", 18), ("tpe-multivariate", 18), ("random", 25), ("gp", 11)]
)  # gp models from the eleventh trial on, and takes its time
def test_a_resumed_search_continues_alike_although_refused_points_are_in_no_record(search: str, trials: int) -> None:
    study = {"space": TWELVE | {"batch": "choice([8, 10, 12, 14, 16])"}, "search": search}

    def run(count: int, recorded: list[TrialRecord]) -> None:
        optimizer = make(recorded=list(recorded), **study)
        for _ in range(count):
            suggestion = ask(optimizer)
            value = float(suggestion.point["lr0"]) * float(suggestion.point["batch"])
            finish(optimizer, suggestion.number, [value])
            recorded.append(of_record(suggestion.number, suggestion.point, [value]))

    through: list[TrialRecord] = []
    run(trials, through)
    first: list[TrialRecord] = []
    run(trials // 2, first)
    run(trials - trials // 2, first)
    assert [trial.point for trial in first] == [trial.point for trial in through]
    assert [trial.number for trial in first] == list(range(trials))


def test_unfinished_trials_of_the_record_come_first_and_keep_their_epochs() -> None:
    interrupted = Ending(Verdict.INTERRUPTED, "the study was stopped")
    points = [{**POINT, "lr0": 0.01 / (number + 1)} for number in range(3)]
    recorded = [
        of_record(0, points[0], [0.2, 0.3], interrupted),
        of_record(1, points[1], [0.5]),
        of_record(2, points[2], [0.4], None),
    ]
    optimizer = make(*points, recorded=recorded, num_samples=4)
    assert (optimizer.unfinished, optimizer.left, optimizer.begun) == ((0, 2), 3, 3)
    assert [ask(optimizer), ask(optimizer)] == [Suggestion(0, points[0]), Suggestion(2, points[2])]
    new = ask(optimizer)
    assert new.number == 3 and new.point not in points, "initial points that were tried are not queued again"
    assert optimizer.ask() is None
    told = finish(optimizer, 0, [0.9, 0.3, 0.4])
    assert (told.value, told.intermediate_values) == (0.4, {1: 0.2, 2: 0.3, 3: 0.4})


def test_a_number_names_the_unfinished_trial_that_is_wanted_or_a_new_one() -> None:
    recorded = [of_record(number, {**POINT, "lr0": 0.01 / (number + 1)}, [0.5], None) for number in range(3)]
    optimizer = make(recorded=recorded)
    assert ask(optimizer, 1) == Suggestion(1, recorded[1].point)
    assert ask(optimizer, 3).number == 3, "a new one, although others are unfinished"
    assert ask(optimizer, 0) == Suggestion(0, recorded[0].point)
    assert optimizer.unfinished == (2,)


def test_where_every_point_was_tried_only_the_unfinished_trials_are_left() -> None:
    recorded = [of_record(number, {"lr0": value}, [], None) for number, value in enumerate((0.1, 0.2))]
    optimizer = make(recorded=recorded, search="grid", space={"lr0": "grid_search([0.1, 0.2])"})
    assert ask(optimizer, 1).point == {"lr0": 0.2}
    assert optimizer.ask(2) is None and (optimizer.left, optimizer.begun) == (1, 2)
    assert ask(optimizer).number == 0 and optimizer.ask() is None


def test_trials_that_began_are_finished_although_fewer_are_wanted_now() -> None:
    recorded = [of_record(0, POINT, [0.5]), of_record(1, {**POINT, "lr0": 0.02}, [0.5], None)]
    optimizer = make(recorded=recorded, num_samples=1)
    assert optimizer.left == 1
    assert optimizer.ask(2) is None and optimizer.left == 1, "no new one in place of the unfinished one"
    assert ask(optimizer).number == 1 and optimizer.ask() is None


def test_a_trial_that_is_taken_back_comes_next_and_keeps_its_epochs() -> None:
    recorded = [of_record(number, {**POINT, "lr0": 0.01 / (number + 1)}, [0.3], None) for number in range(2)]
    optimizer = make(recorded=recorded, num_samples=2)
    first = ask(optimizer)
    optimizer.report(0, 2, 0.4)
    optimizer.take_back(0)
    assert (optimizer.left, optimizer.unfinished) == (2, (0, 1))
    assert ask(optimizer) == first
    assert ask(optimizer).number == 1 and optimizer.ask() is None
    assert finish(optimizer, 0, [0.9, 0.9, 0.5]).intermediate_values == {1: 0.3, 2: 0.4, 3: 0.5}
    assert len(optimizer.optuna_study.trials) == 2


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_in_whatever_order_each_trial_ends_once(seed: int) -> None:
    rng = random.Random(seed)
    recorded = [of_record(number, {**POINT, "lr0": 0.01 / (number + 1)}, [0.5], None) for number in range(3)]
    optimizer = make(recorded=recorded, search="random", num_samples=12, seed=seed)
    running: list[int] = []
    ended: list[int] = []
    while optimizer.left or running:
        assert optimizer.left + len(running) + len(ended) == 12
        step = rng.random()
        if step < 0.5 and optimizer.left:
            running.append(ask(optimizer).number)
        elif running:
            number = running.pop(rng.randrange(len(running)))
            if step < 0.7:
                optimizer.take_back(number)
            else:
                finish(optimizer, number, [rng.random()], rng.choice([COMPLETED, PRUNED]))
                ended.append(number)
    assert sorted(ended) == list(range(12))
    assert all(trial.state.is_finished() for trial in optimizer.optuna_study.trials)


def test_a_trial_whose_folder_is_gone_leaves_a_gap_that_is_not_filled() -> None:
    optimizer = make(recorded=[of_record(3, POINT, [0.5])])
    assert ask(optimizer).number == 4


def test_trials_of_a_space_that_was_changed_are_known_as_far_as_they_fit() -> None:
    old: Point = {"lr0": 0.09, "warmup_epochs": 1, "mixup": 0.3}
    recorded = [of_record(0, old, [0.5]), of_record(1, old | {"lr0": 0.01}, [0.5], None)]
    space = {"lr0": "uniform(0.001, 0.05)", "warmup_epochs": "randint(0, 5)", "batch": "choice([8, 16])"}
    optimizer = make(recorded=recorded, space=space)
    assert optimizer.optuna_study.trials[0].params == {"warmup_epochs": 1}
    assert ask(optimizer) == Suggestion(1, old | {"lr0": 0.01}), "it continues as it began"
    assert ask(optimizer).point.keys() == space.keys()
