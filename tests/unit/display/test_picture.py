"""Where a study is, as a picture, at any width."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from yolotune.config.layers import make_settings
from yolotune.display.picture import Picture, print_status
from yolotune.record.folder import Holder
from yolotune.record.provenance import Origin, Provenance
from yolotune.record.study import StudyRecord
from yolotune.report.tally import Best, OpenRung, RunningTrial, Summary

RUNNING = (
    RunningTrial(12, 41, 250, 0.4012, 0.5123, 12.0, 2508.0),
    RunningTrial(13, 0, 250),
)
SUMMARY = Summary(
    planned=50,
    verdicts={"completed": 3, "pruned": 8, "interrupted": 1},
    unfinished=1,
    running=RUNNING,
    epochs_trained=800,
    epochs_saved=200,
    best=Best(4, 24, 0.8901),
    defaults=0.6024,
    seconds_left=20700.0,
)


def drawn(summary: Summary = SUMMARY, width: int = 80, height: int = 24, metric: str = "metrics/F1(M)") -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None, soft_wrap=True)
    console.print(Picture(summary, metric, [("time", "2:10:00")]))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_the_picture_at_80_columns() -> None:
    lines = drawn()
    assert lines[0].split() == ["trial", "epoch", "F1", "val", "F1", "train", "left"]
    assert lines[1].split()[0] == "12" and lines[1].split()[-4:] == ["41/250", "0.4012", "0.5123", "0:41:48"]
    assert 4 <= lines[1].count("━") <= 7, "41 of 250 epochs, of about 34 columns"
    assert lines[2].split() == ["13", "0/250", "–", "–", "–"]
    assert lines[3:] == [
        "",
        "trials  11 of 50 ended: 3 completed, 8 pruned; 2 running, 1 unfinished",
        "epochs  800 trained, 200 saved by stopping early (20 %)",
        "best    metrics/F1(M) 0.8901, trial 4 at epoch 24; defaults 0.6024",
        "time    2:10:00",
    ]


@pytest.mark.parametrize("width", [40, 50, 60, 79, 80, 100, 120, 200])
@pytest.mark.parametrize("metric", ["metrics/F1(M)", "metrics/mAP50-95(B)", "val/seg_loss"])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_lost(width: int, metric: str) -> None:
    lines = drawn(width=width, metric=metric)
    assert max(len(line) for line in lines) <= width
    text = " ".join(" ".join(lines).split())
    for said in ("0.8901", "trial 4 at epoch 24", "2 running, 1 unfinished", "(20 %)"):
        assert said in text
    if width >= 60:
        assert "41/250" in text and "0.4012" in text and "0:41:48" in text


def test_paused_trials_stand_below_those_that_run_and_say_what_they_wait_for() -> None:
    paused = (RunningTrial(9, 25, 250, 0.3, 0.4, 12.0, 2700.0),)
    rungs = (OpenRung(0, 75, 2, 3), OpenRung(1, 25, 4, 9))
    lines = drawn(replace(SUMMARY, paused=paused, rungs=rungs))
    assert lines[3].split()[0] == "9" and lines[3].split()[-4:] == ["25/250", "0.3000", "0.4000", "paused"]
    assert lines[5].endswith("2 running, 1 paused, 1 unfinished")
    assert lines[6] == "rungs   batch 1 at epoch 75: 2 of 3 there; batch 2 at epoch 25: 4 of 9 there"


def test_on_a_low_terminal_trials_are_left_out_and_counted() -> None:
    many = tuple(RunningTrial(number, 1, 250) for number in range(30))
    summary = Summary(50, {}, 0, many, 30, 0, None, None, None)
    lines = drawn(summary, height=20)
    assert len(lines) < 20
    assert sum("1/250" in line for line in lines) + int(lines[11].split()[1]) == 30
    assert len([line for line in drawn(summary, height=60) if "1/250" in line]) == 30


def record_in(folder: Path, origin: Origin | None = None, warm_from: list[Provenance] | None = None) -> StudyRecord:
    return StudyRecord(folder, "abcdef01", make_settings(data="d.yaml"), [], warm_from=warm_from or [], origin=origin)


def test_a_study_that_nobody_works_on_says_how_it_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    print_status(record_in(tmp_path / "study"), SUMMARY, None)
    assert "no process; resume: yolotune resume study" in capsys.readouterr().out
    origin = Origin("confirm", "study", "abcdef01", "..", "--top 3 --seeds 3", "3 points")
    print_status(record_in(tmp_path / "study" / "confirm", origin), SUMMARY, None)
    assert "no process; resume: yolotune confirm study --top 3 --seeds 3" in capsys.readouterr().out
    print_status(record_in(tmp_path / "study"), replace(SUMMARY, planned=11), None)
    assert "no process; the study has ended" in capsys.readouterr().out


def test_a_study_that_is_worked_on_says_by_whom_and_where_its_points_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warm = [Provenance("people", "runs/tune/people", 4, 0.6, True)]
    print_status(record_in(tmp_path, warm_from=warm), SUMMARY, Holder(12, "box", "2026-11-23 22:12:05"))
    said = capsys.readouterr().out
    assert "1 point of people (the same data, trial 4)" in said
    assert "about 5:45:00 left" in said and "process 12 on box since 2026-11-23 22:12:05" in said
