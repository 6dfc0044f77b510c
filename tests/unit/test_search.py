"""What Optuna is asked and told: real Optuna, no Ray run."""

from __future__ import annotations

import logging
import math
import pickle
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from yolotune.config.distributions import distribution
from yolotune.config.points import default_point
from yolotune.config.settings import Settings
from yolotune.config.space import Choice, RandInt, Uniform
from yolotune.record.study import Ending, TrialRecord, Verdict
from yolotune.schedulers.halving import Turn
from yolotune.schedulers.plateau import Endings
from yolotune.schedulers.stop import Stop
from yolotune.search.optimizer import OptunaSearcher
from yolotune.tuner.restarts import Restarts

F1 = "seg_metrics/F1"
SPACE = {"lr0": "loguniform(1e-5, 1e-1)", "warmup_epochs": "randint(0, 5)", "batch": "choice([8, 16])"}


def make(endings: Endings | None = None, points: int = 1, **given: Any) -> OptunaSearcher:
    stop, database = given.pop("stop", None), given.pop("database", None)
    study = Settings(data="d.yaml", **{"space": SPACE, **given})
    first = default_point(study.domains, 3)[0]
    queued = [first, {"lr0": 0.01, "warmup_epochs": 0, "batch": 8}][:points]
    return OptunaSearcher(study, queued, Endings() if endings is None else endings, stop, database)


def report(searcher: OptunaSearcher, trial_id: str, values: list[Any], last: dict[str, Any] | None = None) -> None:
    """Reports epoch by epoch; the last report comes, as from Ray, only with the end of the trial."""
    results = [{"epoch": epoch, F1: value} for epoch, value in enumerate(values, start=1)]
    for result in results[:-1]:
        searcher.on_trial_result(trial_id, result)
    searcher.on_trial_complete(trial_id, {**results[-1], **(last or {})})


def told(searcher: OptunaSearcher, number: int) -> optuna.trial.FrozenTrial:
    return searcher.optuna_study.trials[number]


def test_distributions_are_those_of_the_space() -> None:
    assert distribution(Uniform(0.0, 1.0)) == optuna.distributions.FloatDistribution(0.0, 1.0)
    assert distribution(Uniform(0.1, 1.0, log=True)) == optuna.distributions.FloatDistribution(0.1, 1.0, log=True)
    assert distribution(RandInt(0, 5)) == optuna.distributions.IntDistribution(0, 4)
    assert distribution(Choice((1, "a"))) == optuna.distributions.CategoricalDistribution((1, "a"))


def test_initial_points_come_first_and_trial_0_is_the_defaults() -> None:
    searcher = make(points=2)
    first, second, third = (searcher.suggest(name) for name in "abc")
    assert first == {"number": 0, "point": {"lr0": 0.001429, "warmup_epochs": 3, "batch": 16}}
    assert second == {"number": 1, "point": {"lr0": 0.01, "warmup_epochs": 0, "batch": 8}}
    assert isinstance(third, dict) and third["number"] == 2


def test_suggestions_have_the_types_that_ultralytics_takes() -> None:
    searcher = make()
    for name in "abcdef":
        suggestion = searcher.suggest(name)
        assert isinstance(suggestion, dict)
        assert [type(value) for value in suggestion["point"].values()] == [float, int, int]


@pytest.mark.parametrize("verdict", [Verdict.COMPLETED, Verdict.PLATEAUED])
def test_a_finished_trial_is_told_with_its_best_epoch(verdict: Verdict) -> None:
    searcher = make()
    searcher.suggest("a")
    report(searcher, "a", [0.1, 0.6, 0.3], {"verdict": str(verdict), "reason": "r"})
    assert (told(searcher, 0).state, told(searcher, 0).value) == (TrialState.COMPLETE, 0.6)


def test_the_last_epoch_counts_although_it_comes_only_with_the_end() -> None:
    searcher = make({0: Ending(Verdict.PLATEAUED, "r")})
    searcher.suggest("a")
    report(searcher, "a", [0.1, 0.2, 0.7])
    assert told(searcher, 0).value == 0.7


def test_in_direction_min_the_best_epoch_is_the_lowest() -> None:
    searcher = make(objective="val/seg_loss")
    searcher.suggest("a")
    for epoch, value in enumerate([3.0, 1.0, 2.0], start=1):
        searcher.on_trial_result("a", {"epoch": epoch, "val/seg_loss": value})
    searcher.on_trial_complete("a", {"verdict": "completed", "reason": "r"})
    assert told(searcher, 0).value == 1.0


def test_a_pruned_trial_is_pruned_with_its_epochs_as_steps() -> None:
    searcher = make({0: Ending(Verdict.PRUNED, "rung")})
    searcher.suggest("a")
    report(searcher, "a", [0.1, math.nan, 0.3, None, 0.2])
    assert told(searcher, 0).state == TrialState.PRUNED
    assert told(searcher, 0).intermediate_values == {1: 0.1, 3: 0.3, 5: 0.2}


def test_an_epoch_that_is_reported_twice_is_told_once() -> None:
    searcher = make({0: Ending(Verdict.PRUNED, "rung")})
    searcher.suggest("a")
    for value in (0.1, 0.9):
        searcher.on_trial_result("a", {"epoch": 1, F1: value})
    searcher.on_trial_complete("a", {"epoch": 1, F1: 0.9})
    assert told(searcher, 0).intermediate_values == {1: 0.1}


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.DIVERGED, Verdict.OOM, Verdict.INTERRUPTED])
def test_what_did_not_finish_is_a_failure(verdict: Verdict) -> None:
    searcher = make()
    searcher.suggest("a")
    report(searcher, "a", [0.1, 0.2], {"verdict": str(verdict), "reason": "r"})
    assert told(searcher, 0).state == TrialState.FAIL


def test_an_error_is_a_failure_and_so_is_an_end_without_a_value() -> None:
    searcher = make({1: Ending(Verdict.PRUNED, "rung")})
    for name in "abc":
        searcher.suggest(name)
    searcher.on_trial_complete("a", error=True)
    report(searcher, "b", [math.nan])
    searcher.on_trial_complete("c")
    assert [trial.state for trial in searcher.optuna_study.trials] == [TrialState.FAIL] * 3


def test_nothing_is_running_after_the_end() -> None:
    searcher = make(points=2)
    for name in "abcd":
        searcher.suggest(name)
    report(searcher, "b", [0.5], {"verdict": "completed", "reason": "r"})
    searcher.close()
    searcher.on_trial_complete("a")  # Ray may tell it late, or of a trial nobody knows
    searcher.on_trial_result("z", {"epoch": 1, F1: 0.5})
    searcher.on_trial_complete("z", error=True)
    states = [trial.state for trial in searcher.optuna_study.trials]
    assert states == [TrialState.FAIL, TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL]


def lock_step(first: OptunaSearcher, second: OptunaSearcher, trials: int) -> list[bool]:
    """Runs two searches alongside, the same reports in the same order; whether each suggestion was equal."""
    equal = []
    for index in range(trials):
        suggestions = [searcher.suggest(str(index)) for searcher in (first, second)]
        equal.append(suggestions[0] == suggestions[1])
        for searcher, suggestion in zip((first, second), suggestions, strict=True):
            assert isinstance(suggestion, dict)
            value = 1 / (1 + abs(math.log10(suggestion["point"]["lr0"]) + 3))
            report(searcher, str(index), [value / 2, value], {"verdict": "completed", "reason": "r"})
    return equal


@pytest.mark.parametrize("search", ["tpe", "random"])
def test_the_same_seed_and_order_of_reports_give_the_same_suggestions(search: str) -> None:
    assert all(lock_step(make(search=search, seed=0), make(search=search, seed=0), 15))


def test_another_seed_gives_other_suggestions() -> None:
    assert lock_step(make(seed=1), make(seed=2), 4) == [True, False, False, False]  # the first is the defaults


def grid(**given: Any) -> OptunaSearcher:
    space = {"batch": "grid_search([8, 16])", "optimizer": "choice([AdamW, SGD])", "warmup_epochs": "randint(0, 3)"}
    return make(search="grid", space=space, **given)


@pytest.mark.parametrize("running", [1, 4])
def test_a_grid_tries_each_combination_once_and_then_ends(running: int) -> None:
    searcher = grid()
    points, opened = [], []
    while isinstance(suggestion := searcher.suggest(str(len(points))), dict):
        opened.append(str(len(points)))
        points.append(suggestion["point"])
        if len(opened) == running:
            report(searcher, opened.pop(0), [0.5], {"verdict": "completed", "reason": "r"})
    assert suggestion == (None if opened else "FINISHED")
    for name in opened:
        report(searcher, name, [0.5], {"verdict": "completed", "reason": "r"})
    assert searcher.suggest("no more") == "FINISHED"
    assert points[0] == {"batch": 16, "optimizer": "AdamW", "warmup_epochs": 2}
    tried = [tuple(point.values()) for point in points]
    assert sorted(tried) == sorted(product([8, 16], ["AdamW", "SGD"], range(3)))
    assert all(trial.state == TrialState.COMPLETE for trial in searcher.optuna_study.trials)


def test_an_initial_point_of_the_grid_is_not_tried_again() -> None:
    study = Settings(data="d.yaml", search="grid", space={"batch": "grid_search([8, 16])"})
    searcher = OptunaSearcher(study, [{"batch": 16}, {"batch": 8}], Endings())
    count = 0
    while isinstance(searcher.suggest(str(count)), dict):
        count += 1
    assert count == 2


class Given:
    """Turns as they were written down."""

    def __init__(self, *turns: Turn | None) -> None:
        self.turns = list(turns)
        self.total: int | None = None
        self.started_again: list[int] = []

    def again(self, number: int) -> None:
        self.started_again.append(number)

    def turn(self) -> Turn | None:
        return self.turns.pop(0)

    def no_more(self, total: int) -> None:
        self.total = total


def test_who_decides_on_turns_says_which_trial_of_the_record_goes_on_and_when() -> None:
    point = {"lr0": 0.01, "warmup_epochs": 0, "batch": 8}
    recorded = [
        TrialRecord(number, Path(), {**point, "lr0": 0.01 / (number + 1)}, [{"epoch": 1, F1: 0.5}], None, None, None)
        for number in range(3)
    ]
    turns = Given(None, Turn(1, "too bad"), Turn(3, None), Turn(0, None))
    searcher = OptunaSearcher(Settings(data="d.yaml", space=SPACE), [], Endings(), recorded=recorded, turns=turns)
    assert searcher.suggest("a") is None
    assert searcher.suggest("b") == {"number": 1, "point": recorded[1].point, "cut": "too bad"}
    new = searcher.suggest("c")
    assert isinstance(new, dict) and new["number"] == 3
    assert searcher.suggest("d") == {"number": 0, "point": recorded[0].point}


def test_a_search_without_more_points_waits_for_the_trials_of_the_record() -> None:
    study = Settings(data="d.yaml", search="grid", space={"lr0": "grid_search([0.1, 0.2])"})
    recorded = [TrialRecord(n, Path(), {"lr0": value}, [], None, None, None) for n, value in enumerate((0.1, 0.2))]
    turns = Given(Turn(1, None), Turn(2, None), Turn(0, None), Turn(2, None))
    searcher = OptunaSearcher(study, [], Endings(), recorded=recorded, turns=turns)
    assert searcher.suggest("a") == {"number": 1, "point": {"lr0": 0.2}}
    assert searcher.suggest("b") is None and turns.total == 2
    assert searcher.suggest("c") == {"number": 0, "point": {"lr0": 0.1}}
    assert searcher.suggest("d") is None
    for name in "ac":
        report(searcher, name, [0.5], {"verdict": "completed", "reason": "r"})
    assert searcher.suggest("d") == Searcher.FINISHED


def test_a_trial_whose_process_died_comes_again_before_any_other_as_often_as_allowed() -> None:
    study, restarts = Settings(data="d.yaml", space=SPACE, num_samples=2), Restarts(2)
    turns = Given(*(Turn(number, None) for number in (0, 1, 0, 0)))
    searcher = OptunaSearcher(study, [], Endings(), turns=turns, restarts=restarts)
    first = searcher.suggest("a")
    searcher.on_trial_result("a", {"epoch": 1, F1: 0.3})
    second = searcher.suggest("b")
    assert isinstance(second, dict) and second["number"] == 1
    for old, new in ("ac", "cd"):
        assert searcher.suggest("x") is None, "there are no more, but one may come back"
        searcher.on_trial_complete(old, error=True)
        assert restarts.again(0) and turns.started_again.pop() == 0
        assert searcher.suggest(new) == first
    searcher.on_trial_complete("d", error=True)
    assert not restarts.again(0) and restarts.of(0) == 3 and not turns.started_again
    assert told(searcher, 0).state == TrialState.FAIL and told(searcher, 0).intermediate_values == {1: 0.3}
    assert searcher.suggest("e") is None
    report(searcher, "b", [0.5], {"verdict": "completed", "reason": "r"})
    assert searcher.suggest("e") == Searcher.FINISHED
    assert len(searcher.optuna_study.trials) == 2


def test_a_study_that_is_being_stopped_suggests_nothing_more() -> None:
    stop = Stop()
    searcher = make(stop=stop)
    assert isinstance(searcher.suggest("a"), dict)
    stop.signal()
    assert searcher.suggest("b") == "FINISHED"
    assert len(searcher.optuna_study.trials) == 1


def test_the_database_mirrors_ended_trials(tmp_path: Path) -> None:
    endings = {1: Ending(Verdict.PRUNED, "rung")}
    searcher = make(endings, points=2, name="fish", database=tmp_path / "study.db")
    for name in "abc":
        searcher.suggest(name)
    report(searcher, "a", [0.1, 0.6], {"verdict": "completed", "reason": "r"})
    report(searcher, "b", [0.1, 0.2])
    mirror = optuna.load_settings(study_name="fish", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [trial.state for trial in mirror.trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert mirror.best_value == 0.6
    assert mirror.trials[1].intermediate_values == {1: 0.1, 2: 0.2}
    assert [trial.params for trial in mirror.trials] == [told(searcher, number).params for number in (0, 1)]


def test_a_database_that_cannot_be_written_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    searcher = make(database=tmp_path / "missing" / "study.db")
    searcher.suggest("a")
    with caplog.at_level(logging.WARNING):
        report(searcher, "a", [0.5], {"verdict": "completed", "reason": "r"})
    assert "study.db: not written" in caplog.text
    assert told(searcher, 0).value == 0.5


def test_a_searcher_can_be_pickled_in_the_middle_of_a_study(tmp_path: Path) -> None:
    searcher = make(stop=Stop(), database=tmp_path / "study.db")
    for name in "ab":
        searcher.suggest(name)
    report(searcher, "a", [0.5], {"verdict": "completed", "reason": "r"})
    again = pickle.loads(pickle.dumps(searcher))
    assert isinstance(again.suggest("c"), dict)
    searcher.save(str(tmp_path / "state"))
    assert (tmp_path / "state").exists()


TWELVE = {"lr0": "choice([1e-3, 3e-3, 1e-2])", "warmup_epochs": "randint(0, 2)", "batch": "choice([8, 16])"}


@pytest.mark.parametrize("search", ["tpe", "random"])
def test_each_point_of_a_small_space_is_suggested_once(search: str) -> None:
    searcher = make(points=0, space=TWELVE, search=search, num_samples=40)
    points = []
    while isinstance(suggestion := searcher.suggest(f"t{len(points)}"), dict):
        assert suggestion["number"] == len(points)
        points.append(tuple(suggestion["point"].values()))
        value = suggestion["point"]["lr0"] * 10
        report(searcher, f"t{len(points) - 1}", [value], {"verdict": "completed", "reason": "r"})
    assert suggestion == Searcher.FINISHED
    assert len(points) == len(set(points)) == 12


@pytest.mark.parametrize("search", ["tpe", "tpe-multivariate", "gp", "random"])
def test_a_resumed_search_goes_on_alike_although_refused_points_are_in_no_record(search: str) -> None:
    def ask(searcher: OptunaSearcher, count: int, recorded: list[TrialRecord]) -> None:
        for _ in range(count):
            suggestion = searcher.suggest("t")
            assert isinstance(suggestion, dict)
            value = suggestion["point"]["lr0"] * suggestion["point"]["batch"]
            report(searcher, "t", [value], {"verdict": "completed", "reason": "r"})
            row = {"epoch": 1, F1: value}
            done = Ending(Verdict.COMPLETED, "r")
            recorded.append(TrialRecord(suggestion["number"], Path(), suggestion["point"], [row], done, 1, value))

    study = Settings(data="d.yaml", space={**TWELVE, "batch": "choice([8, 10, 12, 14, 16])"}, search=search)
    through: list[TrialRecord] = []
    ask(OptunaSearcher(study, [], Endings()), 25, through)
    first: list[TrialRecord] = []
    ask(OptunaSearcher(study, [], Endings()), 17, first)
    ask(OptunaSearcher(study, [], Endings(), recorded=list(first)), 8, first)
    assert [trial.point for trial in first] == [trial.point for trial in through]
    assert [trial.number for trial in first] == list(range(25))


def test_a_trial_whose_folder_is_gone_leaves_a_gap_that_nobody_fills() -> None:
    done = Ending(Verdict.COMPLETED, "r")
    point = {"lr0": 0.01, "warmup_epochs": 0, "batch": 8}
    recorded = [TrialRecord(3, Path(), point, [{"epoch": 1, F1: 0.5}], done, 1, 0.5)]
    searcher = OptunaSearcher(Settings(data="d.yaml", space=SPACE), [], Endings(), recorded=recorded)
    suggestion = searcher.suggest("a")
    assert isinstance(suggestion, dict) and suggestion["number"] == 4


def test_trials_of_a_space_that_was_changed_are_known_as_far_as_they_fit() -> None:
    done = Ending(Verdict.COMPLETED, "r")
    rows = [{"epoch": 1, F1: 0.5}]
    old = {"lr0": 0.09, "warmup_epochs": 1, "mixup": 0.3}
    recorded = [
        TrialRecord(0, Path(), old, rows, done, 1, 0.5),
        TrialRecord(1, Path(), old | {"lr0": 0.01}, rows, None, 1, 0.5),
    ]
    space = {"lr0": "uniform(0.001, 0.05)", "warmup_epochs": "randint(0, 5)", "batch": "choice([8, 16])"}
    searcher = OptunaSearcher(Settings(data="d.yaml", space=space), [], Endings(), recorded=recorded)
    assert told(searcher, 0).params == {"warmup_epochs": 1}
    assert searcher.suggest("a") == {"number": 1, "point": old | {"lr0": 0.01}}, "it goes on as it began"
    new = searcher.suggest("b")
    assert isinstance(new, dict) and new["point"].keys() == space.keys()
