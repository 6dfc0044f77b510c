"""The folder of a study: what is written, what survives a crash, what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from yolotune.config.layers import make_settings
from yolotune.errors import UserError
from yolotune.record.confirmed import Confirmed
from yolotune.record.frames import epochs_frame, trials_frame
from yolotune.record.study import read_study, trial_folder
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter

METRIC = "seg_metrics/F1"
DONE = Ending(Verdict.COMPLETED, "all 3 epochs")


def make(folder: Path, mode: str = "max") -> RecordWriter:
    record = RecordWriter(folder / "study", metric=METRIC, mode=mode)
    settings = make_settings(data="d.yaml", preset="none", space={"lr0": [0, 1]}, mode=mode)
    record.create(settings.model_dump(), {"seed": 0})
    return record


def run_trial(record: RecordWriter, number: int, values: list[float], ending: Ending | None = DONE) -> float | None:
    record.start(number, {"lr0": 1e-5, "batch": 16})
    for epoch, value in enumerate(values, start=1):
        record.append(number, {"epoch": epoch, METRIC: value, "val/seg_loss": 1.5})
    return record.end(number, ending, {}) if ending else None


def damage(record: RecordWriter, number: int, name: str, content: bytes) -> Path:
    path = trial_folder(record.folder, number) / name
    path.write_bytes(content)
    return path


def test_a_study_reads_back_as_it_was_written(tmp_path: Path) -> None:
    record = make(tmp_path)
    assert run_trial(record, 0, [0.1, 0.3, 0.2]) == 0.3
    run_trial(record, 1, [0.4], Ending(Verdict.PRUNED, "rung at epoch 1"))
    run_trial(record, 2, [0.9], None)
    study = read_study(record.folder)
    assert (study.metric, study.mode) == (METRIC, "max")
    first, second, third = study.trials
    assert (first.number, first.point, first.ending) == (0, {"lr0": 1e-5, "batch": 16}, DONE)
    assert (first.best_epoch, first.value, len(first.epochs)) == (2, 0.3, 3)
    assert first.epochs[1] == {"epoch": 2, METRIC: 0.3, "val/seg_loss": 1.5}
    assert first.weights == record.folder / "trials/0000/weights/best.pt"
    assert (second.verdict, third.verdict, third.value) == (Verdict.PRUNED, None, None)
    assert study.verdicts == {"completed": 1, "pruned": 1, "running": 1}
    assert study.epochs_trained == 5
    assert study.best is second


def test_every_file_carries_a_schema_version(tmp_path: Path) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1])
    for name, version in (("study.yaml", 2), ("trials/0000/point.yaml", 1), ("trials/0000/verdict.yaml", 1)):
        assert yaml.safe_load((record.folder / name).read_text())["schema"] == version
    assert json.loads((record.folder / "environment.json").read_text())["schema"] == 1
    assert json.loads((record.folder / "trials/0000/epochs.jsonl").read_text())["schema"] == 1


def test_an_epoch_that_is_reported_twice_is_recorded_once(tmp_path: Path) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1, 0.2], None)
    for epoch in (2, 1):
        record.append(0, {"epoch": epoch, METRIC: 0.9})
    assert [row[METRIC] for row in record.rows(0)] == [0.1, 0.2]
    assert [row[METRIC] for row in read_study(record.folder).trials[0].epochs] == [0.1, 0.2]


def test_numbers_that_json_does_not_know_are_null(tmp_path: Path) -> None:
    record = make(tmp_path)
    assert run_trial(record, 0, [0.1, math.nan, math.inf]) == 0.1
    assert [row[METRIC] for row in read_study(record.folder).trials[0].epochs] == [0.1, None, None]


@pytest.mark.parametrize("torn", [b'{"schema": 1, "epo', b"\0\0\0", b'{"a": "\xe6', b"5"])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: bytes) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1, 0.2], None)
    path = trial_folder(record.folder, 0) / "epochs.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    assert [row["epoch"] for row in read_study(record.folder).trials[0].epochs] == [1, 2]
    record.append(0, {"epoch": 3, METRIC: 0.3})
    assert [row["epoch"] for row in read_study(record.folder).trials[0].epochs] == [1, 2, 3]


def test_an_ended_trial_whose_epochs_are_gone_is_named(tmp_path: Path) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1, 0.2])
    path = trial_folder(record.folder, 0) / "epochs.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"holds 1 epochs, verdict.yaml says 2"):
        read_study(record.folder)


@pytest.mark.parametrize("line", [b"{oops}", b"", b"\xff\xfe", b"[1]"])
def test_a_damaged_line_in_the_middle_is_named_with_file_and_line(tmp_path: Path, line: bytes) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1], None)
    path = damage(record, 0, "epochs.jsonl", b'{"epoch": 1}\n' + line + b'\n{"epoch": 3}\n')
    with pytest.raises(UserError) as caught:
        read_study(record.folder)
    assert caught.value.problems[0].where == f"{path}:2"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("verdict.yaml", b"verdict: exploded\nreason: x\n"),
        ("verdict.yaml", b"verdict: completed\n"),
        ("verdict.yaml", b"[]\n"),
        ("point.yaml", b"lr0: [\n"),
        ("point.yaml", b""),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1])
    path = damage(record, 0, name, content)
    with pytest.raises(UserError, match=str(path)):
        read_study(record.folder)


@pytest.mark.parametrize("content", [b"", b"[]\n", b"data: d.yaml\n"])
def test_a_study_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    record = make(tmp_path)
    (record.folder / "study.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"study\.yaml"):
        read_study(record.folder)


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no study here"):
        read_study(tmp_path)


def test_a_trial_that_is_just_being_started_and_foreign_folders_are_passed_over(tmp_path: Path) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1])
    (record.folder / "trials/0001/weights").mkdir(parents=True)
    (record.folder / "trials/0000-copy").mkdir()
    assert [trial.number for trial in read_study(record.folder).trials] == [0]


def test_trials_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    record = make(tmp_path)
    for number in (10000, 9999, 2):
        record.start(number, {"lr0": 0.1})
    assert [trial.number for trial in read_study(record.folder).trials] == [2, 9999, 10000]


def test_a_folder_that_holds_a_study_is_not_taken_again(tmp_path: Path) -> None:
    record = make(tmp_path)
    with pytest.raises(UserError, match="holds a study already"):
        record.create({}, {})


def test_of_equal_trials_the_first_is_the_best(tmp_path: Path) -> None:
    record = make(tmp_path)
    for number, value in enumerate([0.1, 0.5, 0.5]):
        run_trial(record, number, [value])
    best = read_study(record.folder).best
    assert best is not None and best.number == 1


def test_in_direction_min_the_lowest_is_the_best(tmp_path: Path) -> None:
    record = make(tmp_path, "min")
    for number, value in enumerate([0.5, 0.1]):
        assert run_trial(record, number, [0.7, value, 0.6]) == value
    best = read_study(record.folder).best
    assert best is not None and (best.number, best.best_epoch) == (1, 2)


def test_a_study_without_a_value_has_no_best(tmp_path: Path) -> None:
    record = make(tmp_path)
    assert run_trial(record, 0, [], Ending(Verdict.FAILED, "boom")) is None
    study = read_study(record.folder)
    assert study.best is None and study.trials[0].epochs == []


def test_best_yaml_is_rewritten_only_when_better(tmp_path: Path) -> None:
    record = make(tmp_path)
    offers = [(0.5, {"lr0": 1e-5}), (0.4, {"lr0": 0.1}), (0.5, {"lr0": 0.2}), (0.6, {"lr0": 1e-3})]
    taken: list[tuple[bool, Any]] = []
    for number, (value, point) in enumerate(offers):
        better = record.update_best(number, value, point)
        taken.append((better, yaml.safe_load((record.folder / "best.yaml").read_text())))
    assert taken == [(True, {"lr0": 1e-5}), (False, {"lr0": 1e-5}), (False, {"lr0": 1e-5}), (True, {"lr0": 1e-3})]


def test_plain_pyyaml_reads_every_float_of_best_yaml_as_a_float(tmp_path: Path) -> None:
    record = make(tmp_path)
    point = {"lr0": 1e-5, "lrf": 1.2e-7, "box": 7.0, "cls": 1e16, "batch": 16, "optimizer": "AdamW", "cos_lr": True}
    record.update_best(3, 0.75, point)
    read = yaml.safe_load((record.folder / "best.yaml").read_text())
    assert read == point
    assert [type(value) for value in read.values()] == [type(value) for value in point.values()]


def test_a_record_of_a_later_version_is_refused(tmp_path: Path) -> None:
    record = make(tmp_path)
    text = (record.folder / "study.yaml").read_text()
    (record.folder / "study.yaml").write_text(text.replace("schema: 2", "schema: 3"))
    with pytest.raises(UserError, match="has schema 3, and this version of yolotune reads up to 2"):
        read_study(record.folder)


def test_records_show_themselves_in_a_line(tmp_path: Path) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1, 0.2])
    run_trial(record, 1, [0.3], None)
    study = read_study(record.folder)
    assert [repr(trial) for trial in study.trials] == [
        "TrialRecord(0, completed, value 0.2000, 2 epochs)",
        "TrialRecord(1, running, no value, 1 epochs)",
    ]
    assert repr(study) == f"StudyRecord({str(record.folder)!r}, 2 trials)"


def test_the_frame_of_trials_has_what_was_tried_and_what_came_of_it(tmp_path: Path) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1, 0.2])
    record.end(0, DONE, {"batch": 8})
    frame = trials_frame(read_study(record.folder))
    assert frame.loc[0].to_dict() == {
        "lr0": 1e-5, "batch": 8, "verdict": "completed", "value": 0.2, "best_epoch": 2, "epochs": 2, "seconds": 0.0
    }  # fmt: skip
    assert list(trials_frame(read_study(make(tmp_path / "empty").folder)).columns)[:2] == ["verdict", "value"]


def test_the_frame_of_epochs_has_a_row_per_epoch(tmp_path: Path) -> None:
    record = make(tmp_path)
    run_trial(record, 0, [0.1, 0.2])
    run_trial(record, 1, [0.3])
    frame = epochs_frame(read_study(record.folder))
    assert list(frame.columns[:2]) == ["trial", "epoch"]
    assert frame[["trial", "epoch", METRIC]].values.tolist() == [[0, 1, 0.1], [0, 2, 0.2], [1, 1, 0.3]]


def test_a_confirmed_point_gives_way_to_a_trial_that_beats_what_it_was_chosen_from(tmp_path: Path) -> None:
    record = RecordWriter(tmp_path, metric="seg_metrics/F1", mode="max")
    record.create({}, {})
    held = Confirmed(trial=3, mean=0.6, seeds=(1, 2), search_best=0.8)
    record.keep_confirmed(held, {"lr0": 0.003})
    written = (tmp_path / "best.yaml").read_text()
    assert "# confirmed: mean seg_metrics/F1 0.60000 over seeds 1, 2." in written and "beats 0.80000" in written
    assert record.update_best(5, 0.7, {"lr0": 0.005}), "it is the best so far"
    assert record.update_best(6, 0.8, {"lr0": 0.006})
    assert (tmp_path / "best.yaml").read_text() == written, "but not known to be better than the confirmed one"
    assert record.update_best(7, 0.81, {"lr0": 0.007})
    said = (tmp_path / "best.yaml").read_text()
    assert "lr0: 0.007" in said and "Not confirmed. It took the place of trial 3, confirmed with mean 0.60000" in said
