"""The live view, which costs its study nothing, and the lines that are printed without a terminal."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from records import write_study
from yolotune.config.layers import make_settings
from yolotune.display.lines import Lines
from yolotune.display.live import LiveView, watching
from yolotune.record.study import read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers.forecast import resolve

SETTINGS = resolve(make_settings(data="d.yaml", epochs=30))
#: What lines and view read of a plan when its own lines are left out.
PLAN: Any = SimpleNamespace(settings=SETTINGS, origin=None)


@pytest.fixture(autouse=True)
def no_plan_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolotune.display.lines.plan_lines", lambda plan: ["the plan"])


def terminal(file: io.StringIO) -> Console:
    return Console(file=file, width=80, height=24, force_terminal=True, color_system=None, soft_wrap=True)


def lines(file: io.StringIO, **options: Any) -> Lines:
    return Lines(Console(file=file, highlight=False, soft_wrap=True), **options)


def test_events_are_lines(tmp_path: Path) -> None:
    file = io.StringIO()
    told = lines(file)
    told.study_started(tmp_path, PLAN)
    told.trials_recorded(read_study(write_study(tmp_path / "study", trials=2)).trials)
    told.trial_started(7, {})
    told.epoch_reported(7, {"epoch": 1, "seg_metrics/F1": 0.25})
    told.epoch_reported(7, {"epoch": 2, "seg_metrics/F1": float("nan")})
    told.trial_paused(7)
    told.trial_resumed(7)
    told.trial_ended(7, Ending(Verdict.PRUNED, "rung [3]: seg_metrics/F1 too low"), 0.25, False)
    told.trial_ended(8, Ending(Verdict.FAILED, "no memory"), None, False)
    told.interrupted()
    told.report_written(tmp_path / "report.html")
    said = [line.split(" ", 1)[1] if line[0].isdigit() else line for line in file.getvalue().splitlines()]
    assert said[:2] == ["the plan", f"Study in {tmp_path}. Ctrl-C ends it in good order, to be resumed."]
    assert said[2].startswith("So far  2 trials ended, 0 to continue, 34 epochs; at their pace about ")
    assert said[3:] == [
        "trial   7 starts",
        "trial   7 epoch 1 of 30, metrics/F1(M) 0.2500",
        "trial   7 paused until its batch is complete",
        "trial   7 continues",
        "trial   7 pruned      metrics/F1(M) 0.2500 (rung [3]: metrics/F1(M) too low)",
        "trial   8 failed      no value (no memory)",
        "Stopping: running trials leave after this epoch. Once more Ctrl-C stops at once.",
        f"Resume:  yolotune resume {tmp_path}",
        f"Report:  {tmp_path}/report.html",
    ]


def test_epochs_are_a_line_every_half_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, now = io.StringIO(), 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    told = lines(file)
    told.study_started(tmp_path, PLAN)
    for epoch in range(1, 8):
        told.epoch_reported(epoch % 2, {"epoch": epoch, "seg_metrics/F1": float("nan")})
        now += 10.0
    said = [line.partition(" ")[2] for line in file.getvalue().splitlines() if " epoch " in line]
    assert said == [f"trial   {epoch % 2} epoch {epoch} of 30, metrics/F1(M) no value" for epoch in (1, 4, 7)]


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


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_study() -> None:
    file = Stuck()
    view = LiveView(terminal(file))
    view.study_started(Path("study"), PLAN)
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


def test_what_is_said_of_a_study_that_never_started_is_shown() -> None:
    file = io.StringIO()
    view = LiveView(terminal(file))
    view.note("the cluster has gone")
    view.close()
    assert file.getvalue() == "the cluster has gone\n"
