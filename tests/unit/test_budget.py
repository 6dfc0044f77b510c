"""Effort and budget: what they choose, what wins over them, when a budget is spent, and what came of the plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from yolotune.schedulers.stop import Stop

from records import write_study
from yolotune.config.budget import Budget
from yolotune.config.settings import Settings, recorded_settings
from yolotune.data.dataset import load_dataset
from yolotune.errors import UserError
from yolotune.record.study import Ending, Verdict, read_study
from yolotune.record.worked_time import BETWEEN_S, FILE, Sessions, seconds_worked
from yolotune.report.outcome import duration, outcome, sentence
from yolotune.tuner.check import check_settings, notes

# --- what check says ---------------------------------------------------------------------------------------------


def test_a_budget_below_one_training_is_refused() -> None:
    (problem,) = check_settings(Settings(data="d.yaml", budget=8))
    assert str(problem).startswith("budget: 8 epochs are fewer than the 250 of one training")
    assert not check_settings(Settings(data="d.yaml", budget=250))


def test_more_trials_than_a_budget_carries_are_noted(shapes: Path) -> None:
    data = load_dataset(str(shapes))
    said = [note for note in notes(Settings(data="d.yaml", budget=2000, num_samples=50), data) if "budget" in note]
    carried = Settings(data="d.yaml", budget=2000).num_samples
    assert len(said) == 1 and f"It would carry {carried}" in said[0]
    assert not [note for note in notes(Settings(data="d.yaml", budget=2000), data) if "budget" in note]


# --- when it is spent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 1, 3])
def test_an_epoch_on_its_way_counts_as_trained(others: int) -> None:
    stop = Stop(Budget(epochs=30), trained={0: 10, 1: 12})
    for number in range(5, 5 + others):
        stop.begins(number)
    for epoch in range(11, 19 - others):
        assert not stop.is_set()
        stop.begins(0)
        stop.reported(0, epoch)
        stop.reported(0, epoch)  # told twice, trained once
    assert stop.is_set() and stop.reason == "the budget of 30 epochs was spent"
    if others:
        stop.leaves(5)
        assert not stop.is_set(), "its epoch will not be trained"


def test_hours_of_before_count() -> None:
    assert Stop(Budget(seconds=60), seconds=61).is_set()
    assert not Stop(Budget(seconds=60), seconds=30).is_set()
    assert not Stop(None, trained={0: 10**6}, seconds=10**9).is_set()


def test_sessions_add_up_and_survive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("yolotune.record.worked_time.time.monotonic", lambda: now)
    assert seconds_worked(tmp_path) == 0
    first = Sessions(tmp_path)
    now += BETWEEN_S - 1
    first.tick()
    assert seconds_worked(tmp_path) == 0, "not written yet"
    now += 11
    first.tick()
    now += 7  # then it is killed
    second = Sessions(tmp_path)
    now += 5
    second.end()
    assert seconds_worked(tmp_path) == BETWEEN_S + 10 + 5


@pytest.mark.parametrize("text", ["", "sessions: 3\n# end\n", "sessions: [{began: x}]\n# end\n", "schema: 1\n"])
def test_a_damaged_account_of_hours_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=FILE):
        seconds_worked(tmp_path)


# --- what came out -----------------------------------------------------------------------------------------------


def came_out(folder: Path) -> str:
    record = read_study(folder)
    return sentence(outcome(record, recorded_settings(record.settings)))


def test_an_ended_study_is_held_against_its_plan(tmp_path: Path) -> None:
    asha = {"grace_period": 3, "reduction_factor": 2}
    ended = {number: Ending(Verdict.PRUNED, "rung") for number in (1, 2, 3)}
    values = {0: [0.5] * 30, 1: [0.1] * 3, 2: [0.1] * 3, 3: [0.1] * 6}
    folder = write_study(tmp_path / "s", trials=4, values=values, endings=ended, asha=asha)
    assert came_out(folder) == (
        "Planned: 4 trials, about 77 epochs. Came out: 42 epochs; 2 cut at the first rung, 1 expected."
    )


def test_a_study_that_its_budget_ended_says_so(tmp_path: Path) -> None:
    ending = {1: Ending(Verdict.INTERRUPTED, "the budget of 45 epochs was spent")}
    values = {0: [0.5] * 30, 1: [0.1] * 15}
    folder = write_study(tmp_path / "s", trials=2, values=values, endings=ending, asha=None, budget="45", num_samples=9)
    assert came_out(folder) == (
        "Planned: 9 trials, 270 epochs, a budget of 45 epochs. Came out: 45 epochs, 1 trials ended and 1 unfinished. "
        "The budget is spent."
    )


def test_before_the_first_epoch_nothing_came_out(tmp_path: Path) -> None:
    assert came_out(write_study(tmp_path / "s", trials=0)) == ""


def test_times_are_told_in_a_fitting_unit() -> None:
    assert [duration(seconds) for seconds in (45, 720, 12240)] == ["45 s", "12 min", "3.4 h"]
