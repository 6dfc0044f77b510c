"""Planned and actual cost of a study, in a sentence."""

from __future__ import annotations

from pathlib import Path

from records import write_study
from yolotune.record.study import read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.report.outcome import outcome, sentence


def said(folder: Path) -> str:
    return sentence(outcome(read_study(folder)))


def test_an_ended_study_is_compared_with_its_plan(tmp_path: Path) -> None:
    asha = {"name": "asha", "grace_period": 3, "reduction_factor": 2}
    ended = {number: Ending(Verdict.PRUNED, "rung") for number in (1, 2, 3)}
    values = {0: [0.5] * 30, 1: [0.1] * 3, 2: [0.1] * 3, 3: [0.1] * 6}
    folder = write_study(tmp_path / "s", trials=4, values=values, endings=ended, scheduler=asha)
    assert said(folder) == (
        "Planned: 4 trials, about 77 epochs. Came out: 42 epochs; 2 cut at the first rung, 1 expected."
    )


def test_a_study_that_its_budget_ended_says_so(tmp_path: Path) -> None:
    ending = {1: Ending(Verdict.INTERRUPTED, "the budget of 45 epochs was spent")}
    given = {"scheduler": "none", "budget": "45", "num_samples": 9}
    folder = write_study(tmp_path / "s", trials=2, values={0: [0.5] * 30, 1: [0.1] * 15}, endings=ending, **given)
    assert said(folder) == (
        "Planned: 9 trials, 270 epochs, a budget of 45 epochs. Came out: 45 epochs, 1 trial ended and 1 unfinished. "
        "The budget is spent."
    )


def test_an_unfinished_study_says_what_its_trials_were_expected_to_cost(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", trials=4, endings={3: None}, num_samples=8)
    assert "3 trials ended and 1 unfinished (of so many trials about " in said(folder)


def test_a_scheduler_without_a_forecast_is_said_to_cost_no_more_than_full_trainings(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", trials=2, scheduler="none")
    file = folder / "study.yaml"
    file.write_text(file.read_text().replace("name: none", "name: median"))
    assert said(folder) == "Planned: 2 trials, at most 60 epochs. Came out: 60 epochs."


def test_before_the_first_epoch_nothing_came_out(tmp_path: Path) -> None:
    assert said(write_study(tmp_path / "s", trials=0)) == ""
