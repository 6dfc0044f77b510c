"""What is printed before and after a study."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.text import Text

from records import write_study
from yolotune.config.layers import make_settings
from yolotune.data.doctor import Examination
from yolotune.display.tables import (
    best_document,
    best_lines,
    plan_lines,
    print_confirmation,
    print_model,
    print_result,
    study_html,
)
from yolotune.record.provenance import Origin
from yolotune.record.study import read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.report.charts.best_so_far import best_so_far
from yolotune.report.next_steps import next_steps
from yolotune.report.results import results_of
from yolotune.report.sentences import headline
from yolotune.schedulers.forecast import resolve

RESOURCES = SimpleNamespace(slots=2, auto=True, gpu_share=0.5, cpu_share=4.0)
IMAGES = {"train": 400, "val": 200}
DATA = SimpleNamespace(yaml="/data/data.yaml", images=IMAGES, nc=3, trained=lambda share: round(400 * share))


def planned(*, origin: Origin | None = None, notes: list[str] | None = None, **given: Any) -> dict[str, str]:
    """Returns the lines of a plan by their first word."""
    plan: Any = SimpleNamespace(
        settings=resolve(make_settings(data="d.yaml", **given)),
        dataset=DATA,
        model="yolo11n-seg.pt",
        points=[{}],
        resources=RESOURCES,
        tracking="offline",
        disk=3e9,
        images=2e6,
        notes=notes or [],
        examined=Examination(None, ()),
        origin=origin,
    )
    lines = [Text.from_markup(line).plain for line in plan_lines(plan)]
    return {line[:8].strip(): line[8:] for line in lines}


def test_a_plan_says_what_will_be_done_and_what_it_will_cost() -> None:
    said = planned(notes=["few images [12]"], budget="3000")
    assert list(said) == ["Data", "Search", "Trial", "Tracker", "Disk", "Stop", "Plan", "Budget", "Note"]
    assert said["Data"] == "/data/data.yaml: 400 train, 200 val images, 3 classes"
    assert "trials of up to 250 epochs, 21 hyperparameters, auto, 1 initial point (" in said["Search"]
    assert said["Trial"] == "yolo11n-seg.pt at 640 px, one at a time, then up to 2, 4 cores and 0.5 GPU each"
    assert said["Tracker"] == "wandb, offline"
    assert said["Disk"] == "at most 3 GB, 2 MB of it decoded images, while it runs, weights kept: all"
    assert said["Stop"] == "ASHA from epoch 38, factor 2, by early signals"
    assert said["Plan"].startswith("effort balanced: about ") and "Rungs at epochs 38, 76, 152 of 250" in said["Plan"]
    assert said["Budget"].startswith("3,000 epochs, all resumes included")
    assert said["Note"] == "few images [12]"


def test_a_fraction_is_counted() -> None:
    assert planned(train={"fraction": 0.4})["Data"].startswith("/data/data.yaml: 160 of 400 train, 200 val")


def test_a_plan_without_early_stopping_costs_all_trials_in_full() -> None:
    said = planned(scheduler="none", num_samples=4, epochs=30)
    assert (said["Stop"], said["Plan"]) == ("nothing early", "120 epochs: 4 trials in full")
    halving = planned(scheduler="halving", plateau={"rule": "std"}, epochs=30)
    assert halving["Stop"] == (
        "halving in batches of 9 from epoch 3, factor 3, by early signals and plateau (std) of train_seg_metrics/F1"
    )


def test_the_plan_of_trainings_says_which() -> None:
    origin = Origin("confirm", "study", "abcdef01", "..", "--top 3", "4 points on seeds 1, 2")
    said = planned(origin=origin, num_samples=8, epochs=30)
    assert said["Confirm"] == "8 trainings of 30 epochs: 4 points on seeds 1, 2"
    assert "Plan" not in said and "Search" not in said


def test_a_result_is_a_table_the_best_point_and_what_to_type_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {0: [0.1, 0.5], 1: [0.2, 0.6123], 2: [0.3]}
    endings = {2: Ending(Verdict.INTERRUPTED, "the study was stopped")}
    folder = write_study(tmp_path / "study", trials=3, values=values, endings=endings, scheduler=None, epochs=2)
    record = read_study(folder)
    print_result(record)
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["trial", "verdict", "epochs", "best", "epoch", "value"]
    assert said[2].split() == ["1", "completed", "2", "2", "0.6123"]
    assert said[4] == "3 trials: 2 completed, 1 interrupted; 5 epochs trained."
    assert "Best: trial 1, metrics/F1(M) 0.6123 at epoch 2." in said
    assert "Ultralytics' defaults (trial 0): 0.5000, a difference of +0.1123." in said
    assert said[-3:] == [
        "Weights: study/trials/0001/weights/best.pt",
        "Train:   yolo segment train cfg=study/best.yaml data=/data/data.yaml",
        "Resume:  yolotune resume study",
    ]
    found = best_document(record)
    assert found is not None
    assert (found["trial"], found["value"], found["confirmed"], found["warm_from"]) == (1, 0.6123, None, None)


def test_without_a_value_there_is_no_best_point(tmp_path: Path) -> None:
    record = read_study(write_study(tmp_path / "study", trials=0))
    assert best_lines(record) == ["No trial has a value yet."]
    assert best_document(record) is None


def test_a_search_that_has_not_beaten_the_defaults_says_so(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", trials=2, values={0: [0.9], 1: [0.1]}, scheduler=None, epochs=1)
    assert "That is trial 0: the search has not beaten Ultralytics' defaults." in best_lines(read_study(folder))


def test_a_confirmation_is_a_row_per_point_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from yolotune.workflows.paired import compare

    monkeypatch.chdir(tmp_path)
    points = (
        compare(0, 0.5, [0.5, 0.52], [0.5, 0.52]),
        compare(4, 0.7, [0.6, 0.64], [0.5, 0.52]),
        compare(5, None, [None, None], [0.5, 0.52]),
    )
    record = SimpleNamespace(folder=tmp_path / "study" / "confirm", trials=[SimpleNamespace(unfinished=False)])
    found: Any = SimpleNamespace(
        points=points, record=record, best=SimpleNamespace(trial=4), conclusion="Trial 4 is better.", test="On test."
    )
    print_confirmation(found)
    said = capsys.readouterr().out.splitlines()
    assert said[2].split() == ["4", "0.7000", "0.6200", "0.0283", "+0.1100", "0.0631", "+0.0800", "2", "of", "2"]
    assert said[3].split() == ["5", "–", "–", "–", "–", "–", "–", "0", "of", "2"]
    assert said[-3:] == ["Trial 4 is better.", "On test.", "study/best.yaml holds trial 4, confirmed."]


def test_a_final_model_says_where_it_lies_and_what_to_do_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found: Any = SimpleNamespace(weights=tmp_path / "study/retrain/1/weights/best.pt", sentence="F1 0.7.")
    print_model(found)
    model = "study/retrain/1/weights/best.pt"
    assert capsys.readouterr().out.splitlines() == [
        "F1 0.7.",
        f"Weights: {model}, with last.pt and model-card.md beside it",
        f"Predict: yolo segment predict model={model} source=path/to/images",
        f"Export:  yolo export model={model} format=onnx",
    ]


def test_a_study_is_a_table_of_its_trials(tmp_path: Path) -> None:
    values = {0: [0.1, 0.5], 1: [0.2, 0.6123], 2: [0.3]}
    folder = write_study(tmp_path / "<b>&study", trials=3, values=values, endings={2: None}, scheduler=None, epochs=2)
    table = ElementTree.fromstring(study_html(read_study(folder)))
    rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert rows == [
        ["trial", "verdict", "epochs", "best epoch", "metrics/F1(M)"],
        ["0", "completed", "2", "2", "0.5000"],
        ["1", "completed", "2", "2", "0.6123"],
        ["2", "running", "1", "", ""],
    ]
    (caption,) = (element.text for element in table.iter("caption"))
    assert caption == f"{folder}: 3 trials; best 0.6123, trial 1", "what is odd in it is escaped"
    assert [row.get("style") for row in table.iter("tr")] == [None, None, "font-weight: bold", None]


def test_of_a_long_study_the_best_trials_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolotune.display.tables.MOST_ROWS", 3)
    count = 8
    values = {number: [number / 100] for number in range(count)}
    record = read_study(write_study(tmp_path / "study", trials=count, values=values, scheduler=None, epochs=1))
    shown = study_html(record)
    assert shown.count("<tr") == 4
    assert "8 trials, the best 3 of them below; best 0.0700, trial 7" in shown
    assert "<td>4</td><td>completed" not in shown


def test_a_study_without_a_trial_has_a_heading(tmp_path: Path) -> None:
    assert "0 trials; no value yet" in study_html(read_study(write_study(tmp_path / "study", trials=0)))


def test_a_study_that_learned_nothing_says_so_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diverged = Ending(Verdict.DIVERGED, "not finite")
    folder = write_study(
        tmp_path / "my study", trials=3, values={key: [0.0, 0.0] for key in range(3)}, endings={2: diverged}, epochs=2
    )
    record = read_study(folder)
    assert record.learned_nothing
    print_result(record)
    said = capsys.readouterr().out
    assert "No trial has learned anything." in said and "yolotune check --data " in said
    for promise in ("Best:", "Train: ", "Weights:", "+0.0000"):
        assert promise not in said
    results = results_of(record, {})
    assert headline(results) == "No trial has learned anything."
    assert not [step for step in next_steps(results) if "retrain" in step.command or "confirm" in step.command]
    assert best_so_far(results) is None
    learned = read_study(write_study(tmp_path / "other", trials=2, values={0: [0.0], 1: [0.1]}, epochs=1))
    assert not learned.learned_nothing
