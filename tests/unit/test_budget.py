"""Effort and budget: what they choose, what wins over them, when a budget is spent, and what came of the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from records import write_study
from yolotune.cli.options import FLAGS, make_study
from yolotune.config.budget import Budget
from yolotune.config.settings import Settings, load_settings, recorded_settings
from yolotune.config.template import study_file
from yolotune.data.dataset import load_dataset
from yolotune.errors import UserError
from yolotune.record.study import Ending, Verdict, read_study
from yolotune.record.worked_time import BETWEEN_S, FILE, Sessions, seconds_worked
from yolotune.report.outcome import duration, outcome, sentence
from yolotune.schedulers.stop import Stop
from yolotune.tuner.check import check_settings, notes


def numbers(study: Settings) -> tuple[int, int, float]:
    assert study.asha is not None
    return study.num_samples, study.grace_period, study.asha.reduction_factor


def study(**flags: Any) -> Settings:
    unset = {name: False if flag.kind is bool else None for name, flag in FLAGS.items()}
    words = flags.pop("words", [])
    return make_study(words, {**unset, "data": "d.yaml", **flags})


# --- reading a budget --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2000", Budget(epochs=2000)),
        ("2000epochs", Budget(epochs=2000)),
        (" 1 epoch ", Budget(epochs=1)),
        ("8h", Budget(seconds=28800)),
        ("1.5 h", Budget(seconds=5400)),
        ("90m", Budget(seconds=5400)),
        ("30s", Budget(seconds=30)),
    ],
)
def test_a_budget_is_epochs_or_a_time(text: str, read: Budget) -> None:
    assert Budget.parse(text) == read
    assert Budget.parse(str(read).replace(",", "")) == read
    twice = Budget.parse(read.doubled)
    assert (twice.epochs, twice.seconds) == (read.epochs and 2 * read.epochs, read.seconds and 2 * read.seconds)


@pytest.mark.parametrize("text", ["", "0", "0h", "-5", "1.5", "8 hours", "h", "2e3", "1,000", "nan", "2d"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"budget: got .*Epochs such as 2000, or a time such as 8h"):
        Settings(data="d.yaml", budget=text)


def test_yaml_numbers_are_epochs(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("data: d.yaml\nbudget: 3000\n", encoding="utf-8")
    assert load_settings(file, {}).ceiling == Budget(epochs=3000)


def test_the_flag_of_before_is_named_by_its_new_name() -> None:
    with pytest.raises(UserError, match=r"time_budget: no such setting. Did you mean budget"):
        Settings(data="d.yaml", time_budget="8h")
    old = recorded_settings({"data": "d.yaml", "num_samples": 7, "time_budget": "8h"})
    assert (old.effort, old.budget, old.num_samples, old.scheduler) == (None, None, 7, "asha")


# --- what they choose --------------------------------------------------------------------------------------------


def test_the_default_effort_is_balanced_and_the_guide_keeps_its_numbers() -> None:
    default, guide = Settings(data="d.yaml"), Settings(data="d.yaml", preset="guide")
    assert (default.effort, guide.effort) == ("balanced", None)
    assert (numbers(default), numbers(guide)) == ((50, 38, 2), (50, 25, 2))


def test_more_effort_is_expected_to_train_more() -> None:
    costs = [Settings(data="d.yaml", effort=name).forecast().expected for name in ("quick", "balanced", "thorough")]
    assert costs == sorted(costs) and costs[0] < costs[1] / 2 < costs[2] / 4 + costs[1] / 4


@pytest.mark.parametrize(("epochs", "grace"), [(250, 38), (40, 6), (30, 4), (20, 3), (6, 3), (2, 2), (1, 1)])
def test_no_trial_is_judged_by_its_first_two_epochs(epochs: int, grace: int) -> None:
    found = Settings(data="d.yaml", epochs=epochs)
    assert found.grace_period == grace
    assert not [problem for problem in check_settings(found) if problem.where.startswith("asha")]


def test_what_is_given_beside_an_effort_wins() -> None:
    found = study(effort="quick", num_samples=7, grace_period=0.2)
    assert numbers(found) == (7, 50, 3)
    assert study(effort="quick", no_asha=True).asha is None
    alone = Settings(data="d.yaml", preset="none", space={"lr0": [0, 1]}, effort="thorough")
    assert numbers(alone) == (100, 38, 2)
    assert Settings(data="d.yaml", preset="none", space={"lr0": [0, 1]}).asha is None


def test_a_later_effort_wins_over_earlier_numbers(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "data: d.yaml\nnum_samples: 33\nasha: {reduction_factor: 5, grace_period: 4, rank: current}\n", encoding="utf-8"
    )
    assert numbers(study(words=[str(file)], data=None)) == (33, 4, 5)
    found = study(words=[str(file)], data=None, effort="quick")
    assert numbers(found) == (20, 25, 3) and found.asha is not None and found.asha.rank == "current"
    file.write_text("data: d.yaml\nasha: null\n", encoding="utf-8")
    assert study(words=[str(file)], data=None).asha is None
    assert numbers(study(words=[str(file)], data=None, effort="thorough")) == (100, 38, 2)


def test_a_budget_in_epochs_chooses_the_number_of_trials() -> None:
    found = study(budget="2000", effort="quick")
    assert found.forecast().expected <= 2000 < found.forecast(found.num_samples + 1).expected
    assert study(budget="2000", no_asha=True).num_samples == 8
    assert study(budget="8h", effort="quick").num_samples == 20
    assert study(budget="2000", num_samples=3).num_samples == 3
    assert study(budget="2000", preset="guide").num_samples > study(budget="2000").num_samples, "its rungs come earlier"


def test_the_guides_numbers_are_one_flag_away_and_bear_no_effort_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("data: d.yaml\neffort: quick\n", encoding="utf-8")
    found = study(words=[str(file)], data=None, preset="guide")
    assert numbers(found) == (50, 25, 2) and found.effort is None
    with pytest.raises(UserError, match=r"effort: is quick, and preset guide .*leave one of them out"):
        study(preset="guide", effort="quick")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        Settings(data="d.yaml", effort="heroic", budget="much", epochs=0)
    assert {problem.where for problem in caught.value.problems} == {"effort", "budget", "epochs"}


def test_a_recorded_settings_never_changes_its_mind(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", trials=2, effort="quick", num_samples=20)
    assert numbers(load_settings(folder, {})) == (20, 3, 3)
    assert numbers(load_settings(folder, {"epochs": 100}))[0] == 20
    more = load_settings(folder, {"budget": "1000"})
    assert more.num_samples > 20 and more.forecast().expected <= 1000
    assert numbers(load_settings(folder, {"effort": "thorough"})) == (100, 4, 2)


def test_a_written_study_file_leaves_to_the_effort_what_the_effort_chose(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    for wanted in ({}, {"effort": "quick"}, {"budget": "3000"}, {"num_samples": 12, "effort": "quick"}):
        first = study(**wanted)
        file.write_text(study_file(first), encoding="utf-8")
        assert load_settings(file, {}) == first
        edited = file.read_text().replace(f"effort: {first.effort}", "effort: thorough")
        file.write_text(edited, encoding="utf-8")
        again = load_settings(file, {})
        assert again.asha == Settings(data="d.yaml", effort="thorough").asha
        assert (again.num_samples == 12) == ("num_samples" in wanted)


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
