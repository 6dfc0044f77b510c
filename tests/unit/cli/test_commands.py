"""The commands: what they call, what they print, and with which code they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from records import write_study
from yolotune.cli import commands
from yolotune.config.settings import Settings
from yolotune.errors import StudyFailed, UserError, fail
from yolotune.tuner.events import Listener

TAKE_SETTINGS = ("run", "resume", "confirm", "retrain", "check", "init")
OTHERS = ("status", "dashboard", "best", "report", "demo")


def called(*words: str) -> int:
    return commands._exit_code(commands.app, list(words))


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("command", (*TAKE_SETTINGS, *OTHERS))
def test_every_command_has_help(wide: None, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert called(command, "--help") == 0
    said = capsys.readouterr().out
    assert f"yolotune {command}" in said
    assert ("--concurrent" in said) == (command in TAKE_SETTINGS)


def test_the_help_of_a_new_study_shows_defaults_and_that_of_one_that_is_there_does_not(
    wide: None, capsys: pytest.CaptureFixture[str]
) -> None:
    called("run", "--help")
    assert "Epochs of a trial that nothing stops. (250)" in capsys.readouterr().out
    called("resume", "--help")
    said = capsys.readouterr().out
    assert "Epochs of a trial that nothing stops." in said and "(250)" not in said


def test_an_underscore_serves_for_a_hyphen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.yaml"
    assert called("init", "--data", "d.yaml", "--num_samples", "7", "--output", str(file)) == 0
    assert "num_samples: 7" in file.read_text()
    assert capsys.readouterr().out == f"Written: {file}. Edit it, then: yolotune run {file}\n"


def test_all_mistakes_are_printed_at_once_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("check", "--data", "d.yaml", "--epochs", "0", "--search-er", "x") == 2
    assert "No such option" in capsys.readouterr().err
    assert called("check", "--epochs", "0", "--effort", "heroic") == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in said] == ["data", "epochs", "effort"]
    assert all(line.startswith("error: ") and " Fix: " in line for line in said)


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (fail("space", "nothing varies.", "add a range."), 2, "error: space: nothing varies. Fix: add a range.\n"),
        (StudyFailed("no trial has a value."), 1, "error: no trial has a value.\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_a_command_ends_with_a_word_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: BaseException, code: int, said: str
) -> None:
    def diagnose(settings: Settings) -> None:
        raise raised

    monkeypatch.setitem(sys.modules, "yolotune.tuner.check", SimpleNamespace(diagnose=diagnose))
    assert called("check", "--data", "d.yaml") == code
    assert capsys.readouterr().err == said


def test_run_hands_on_what_it_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    handed: dict[str, Any] = {}

    def search(settings: Settings, listener: Listener, *, resume_existing: bool) -> None:
        handed.update(settings=settings, resume=resume_existing)
        raise UserError([])

    monkeypatch.setitem(sys.modules, "yolotune.workflows.search", SimpleNamespace(search=search))
    assert called("run", "--data", "d.yaml", "--project", "my_project", "--concurrent", "2", "--resume", "nbs=32") == 2
    assert handed["resume"] and handed["settings"].project == "my_project"
    assert (handed["settings"].concurrent, handed["settings"].train["nbs"]) == (2, 32)


def test_best_and_status_read_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "study", trials=3)
    assert called("best", "study") == called("status", "study") == 0
    said = capsys.readouterr().out
    assert "Best: trial" in said and "3 of 3 ended" in said
    assert called("best", "nowhere") == 2
    assert capsys.readouterr().err.startswith("error: nowhere: no study here: study.yaml is missing. Fix: give the")


def test_ctrl_c_before_a_study_begins_says_one_word(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PATIENT],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "checking\n"
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "Interrupted.\n")


#: A check that lasts, in a process that has not imported the real one.
PATIENT = """
import signal, sys, time, types
signal.signal(signal.SIGINT, signal.default_int_handler)
def diagnose(settings):
    print("checking", flush=True)
    time.sleep(30)
sys.modules["yolotune.tuner.check"] = types.SimpleNamespace(diagnose=diagnose)
from yolotune.cli import commands
sys.exit(commands._exit_code(commands.app, ["check", "--data", "d.yaml"]))
"""


def test_help_answers_at_once() -> None:
    loaded = "import sys; from yolotune.cli import app; print(*{name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ray", "torch", "ultralytics", "optuna", "wandb", "pandas", "numpy", "scipy"} & set(said)
