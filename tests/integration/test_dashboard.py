"""`yolotune dashboard`: a real server on a real study folder."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from yolotune.config.layers import make_settings
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study = make_settings(data="d.yaml", name="fish", preset="none", space={"lr0": "uniform(0.0, 1.0)"})
    record = RecordWriter(tmp_path / "fish", metric=study.metric, mode="max")
    record.create(study.model_dump(), {})
    record.start(0, {"lr0": 0.5})
    record.append(0, {"epoch": 1, study.metric: 0.25})
    record.end(0, Ending(Verdict.COMPLETED, "all 1 epochs"), {})
    return record.folder


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "yolotune", "dashboard", str(folder), *arguments]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_dashboard_shows_the_study_until_ctrl_c(folder: Path) -> None:
    server = command(folder, "--port", "0")
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+)/dashboard/ shows", said)
        assert found, said + server.communicate(timeout=10)[1]
        with urllib.request.urlopen(found[1] + "/", timeout=10) as answer:
            assert answer.status == 200 and "Optuna" in answer.read().decode()
        with urllib.request.urlopen(found[1] + "/api/studies", timeout=10) as answer:
            (study,) = json.load(answer)["study_summaries"]
        assert study["study_name"] == "fish"
        with urllib.request.urlopen(f"{found[1]}/api/studies/{study['study_id']}?after=0", timeout=10) as answer:
            (trial,) = json.load(answer)["trials"]
        assert (trial["state"], trial["values"]) == ("Complete", [0.25])
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=20)
        assert (server.returncode, errors) == (0, "")
    finally:
        server.kill()
        server.communicate()


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        server = command(folder, "--port", port)
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 2
    assert f"error: --port {port}: cannot be listened on" in errors and "Traceback" not in errors


def test_without_optuna_dashboard_the_fix_is_named(folder: Path) -> None:
    hide = "import sys; sys.modules['optuna_dashboard'] = None; from yolotune.cli.commands import main; main()"
    words = [sys.executable, "-c", hide, "dashboard", str(folder)]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 2
    assert 'Fix: pip install "yolotune[dashboard]"' in said.stderr and "Traceback" not in said.stderr
