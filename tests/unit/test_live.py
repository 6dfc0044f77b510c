"""The picture of a study at any width, and a view that costs its study nothing."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from yolotune.config.settings import Settings
from yolotune.display.lines import Lines
from yolotune.display.live import LiveView, Picture, print_status, watching
from yolotune.record.study import Ending, StudyRecord, Verdict
from yolotune.report.status import Best, OpenRung, RunningTrial, Summary

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


def test_a_study_that_nobody_works_on_says_how_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = StudyRecord(tmp_path / "study", {"objective": "metrics/F1(M)"}, [])
    print_status(record, SUMMARY, None)
    assert "no process; go on: yolotune resume study" in capsys.readouterr().out


def test_off_a_terminal_there_are_plain_lines_whatever_the_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with watching() as listener:
        assert isinstance(listener, Lines)


class Stuck(io.StringIO):
    """A terminal that takes nothing until it is let go, as after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.go.wait(30)
        return super().write(text)

    def isatty(self) -> bool:
        return True


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolotune.display.lines.plan_lines", lambda plan: [])
    file = Stuck()
    view = LiveView(Console(file=file, width=80, height=24, force_terminal=True, color_system=None, soft_wrap=True))
    plan: Any = SimpleNamespace(study=Settings(data="d.yaml"), origin=None)
    view.study_started(Path("study"), plan)
    began = time.monotonic()
    calls = 2000
    view.trial_started(0, {})
    for epoch in range(1, calls + 1):
        view.epoch_reported(0, {"epoch": epoch, "seg_metrics/F1": 0.5, "seconds": 1.0})
    view.trial_ended(0, Ending(Verdict.COMPLETED, "all its epochs"), 0.5, True)
    view.interrupted()
    assert time.monotonic() - began < calls * 1e-3, "a millisecond each is far too much"
    file.go.set()
    view.close()
    said = file.getvalue()
    assert "trial   0 completed   metrics/F1(M) 0.5000 best so far" in said
    assert f"{calls} trained" in said
    assert said.index("\x1b[?25l") < said.rindex("\x1b[?25h"), "the cursor is shown again"
