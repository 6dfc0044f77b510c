"""W&B with a server of our own on loopback, which misbehaves.

It is no W&B: that a real server takes what is sent is not shown here.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wandb_process import Server
from wandb_reader import Run, read_run
from wandb_runs import (
    CONFIG,
    KEY,
    assert_no_key,
    expected,
    offline_runs,
    report,
    result,
    tracker_of,
    trial_files,
    warnings,
)
from yolotune.record.verdict import Ending, Verdict
from yolotune.tracking import TrialSummary, redact
from yolotune.tracking.wandb_client import outage
from yolotune.tracking.wandb_preflight import preflight

MISBEHAVIOURS = ("401", "500", "hang", "garbage", "stranger")
Serve = Callable[[str], Server]


# --- before the study ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("behaviour", [*MISBEHAVIOURS, "nothing listens", "no key"])
@pytest.mark.parametrize("asked", ["auto", "online"])
def test_a_server_that_misbehaves_makes_the_study_offline_with_one_warning(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, behaviour: str, asked: str
) -> None:
    server = serve(behaviour if behaviour in MISBEHAVIOURS else "ok")
    if behaviour == "nothing listens":
        server.kill()
    if behaviour == "no key":
        monkeypatch.delenv("WANDB_API_KEY")
    began = time.monotonic()
    mode, warning = preflight(asked)
    assert time.monotonic() - began < 1 + 2
    assert mode == "offline"
    assert warning is not None and warning.count("\n") == 0 and warning.endswith("the runs are kept offline.")
    assert "127.0.0.1" in warning and KEY not in warning


@pytest.mark.usefixtures("impatient")
def test_a_server_that_trickles_cannot_hold_the_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import socket, time\n"
        "listener = socket.create_server(('127.0.0.1', 0)); print(listener.getsockname()[1], flush=True)\n"
        "connection, _ = listener.accept(); connection.sendall(b'HTTP/1.1 200 OK\\r\\n')\n"
        "while True: connection.sendall(b'X-Wait: 1\\r\\n'); time.sleep(0.2)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{process.stdout.readline().strip()}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        began = time.monotonic()
        mode, warning = preflight()
        assert time.monotonic() - began < 1 + 2
        assert mode == "offline" and "did not answer" in str(warning)
        process.kill()


def test_a_server_that_answers_makes_the_study_online(serve: Serve) -> None:
    serve("ok")
    assert preflight() == ("online", None)


def test_the_key_may_stand_in_netrc(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = serve("ok")
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text(f"machine {server.url.removeprefix('http://')}\n login user\n password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    assert preflight() == ("online", None)
    assert redact(f"key {KEY}") == "key ***"


@pytest.mark.parametrize(("said", "mode"), [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")])
def test_auto_does_what_wandb_mode_says(serve: Serve, monkeypatch: pytest.MonkeyPatch, said: str, mode: str) -> None:
    serve("ok")
    monkeypatch.setenv("WANDB_MODE", said)
    assert preflight() == (mode, None)
    assert preflight("online") == ("online", None)


# --- while it runs ---------------------------------------------------------------------------------------------------


def test_an_online_run_arrives_at_the_server_number_by_number(serve: Serve, tmp_path: Path) -> None:
    server = serve("ok")
    tracker = tracker_of(tmp_path / "study", "online")
    rows = [report(epoch) for epoch in range(1, 4)]
    run = tracker.open_trial(1, CONFIG)
    for row in rows:
        run.log_epoch(row)
    run.finish(result(Verdict.PRUNED, **trial_files(tmp_path / "trial")))

    seen = server.get("/seen")
    assert Run(history=seen["history"]["0a1b2c3d-0001"]).rows() == expected(rows)
    assert seen["exits"] == {"0a1b2c3d-0001": 0}
    assert seen["operations"].count("CreateArtifact") == 2
    assert tracker.notes() == []


def test_a_model_that_the_server_does_not_have_costs_its_link_and_nothing_else(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve("ok")
    lineage = {"search_uid": "feed", "search_run_id": "feed-0007"}
    tracker = tracker_of(tmp_path / "study", "online", kind="retrain", lineage=lineage)
    run = tracker.open_trial(0, CONFIG)
    run.log_epoch(report(1))
    run.finish(result())

    assert any("artifact" in name.lower() for name in server.get("/seen")["operations"]), "it was asked for"
    (folder,) = tracker.folder.glob("run-*-0a1b2c3d-0000")
    seen = read_run(folder)
    assert seen.summary["search_model_linked"] is False and seen.rows() == expected([report(1)])
    assert (seen.job_type, seen.exit_code) == ("retrain", 0)
    assert lineage.items() <= seen.config.items() and not warnings(caplog)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("behaviour", ["hang", "500", "dies"])
def test_a_server_lost_during_a_trial_costs_bounded_time_and_no_data(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture, behaviour: str
) -> None:
    server = serve("ok")
    tracker = tracker_of(tmp_path / "study", "online")
    rows = [report(epoch) for epoch in range(1, 7)]
    files = trial_files(tmp_path / "trial")
    run = tracker.open_trial(1, CONFIG)
    for row in rows[:3]:
        run.log_epoch(row)
    begun = opened(tracker.folder)
    server.kill() if behaviour == "dies" else server.get(f"/behave/{behaviour}")
    began = time.monotonic()
    for row in rows[3:]:
        run.log_epoch(row)
    assert time.monotonic() - began < 0.1, "training waited for W&B"
    run.finish(result(best_epoch=6, value=0.6, **files))
    assert time.monotonic() - began < 1 + 1 + 5

    assert read_run(begun).rows() == expected(rows)
    (rest,) = offline_runs(tracker, "0001")
    assert set(rest.artifacts) == {"best_model_trial_0a1b2c3d-0001", "curves_trial_0a1b2c3d-0001"}
    assert (rest.summary["verdict"], rest.tags[-1], rest.exit_code) == ("completed", "completed", 0)
    lost, sync = tracker.notes()
    assert sync.startswith("wandb sync --include-online ") and str(begun) in sync
    dry = subprocess.run(f"{sync} --dry-run", shell=True, capture_output=True, text=True, env=with_venv())
    assert "Would sync 2 run(s)" in dry.stderr

    began = time.monotonic()
    later = tracker.open_trial(2, CONFIG)
    later.log_epoch(rows[0])
    later.finish(result(**files))
    assert time.monotonic() - began < 3, "the study is offline once the server is lost"
    assert [run.rows() for run in offline_runs(tracker, "0002")] == [expected(rows[:1])]
    assert warnings(caplog) == [lost]
    assert_no_key(tmp_path, caplog.text)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_when_a_run_is_opened_loses_nothing(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    serve("hang")
    tracker = tracker_of(tmp_path / "study", "online")
    rows = [report(epoch) for epoch in range(1, 4)]
    began = time.monotonic()
    run = tracker.open_trial(1, CONFIG)
    for row in rows:
        run.log_epoch(row)
    assert time.monotonic() - began < 0.5, "training waited for W&B"
    run.finish(result(best_epoch=3, value=0.3))
    assert time.monotonic() - began < 8
    (seen,) = offline_runs(tracker, "0001")
    assert seen.rows() == expected(rows)
    assert warnings(caplog) == [outage(tracker.folder)]
    assert_no_key(tmp_path, caplog.text)


def test_an_offline_run_asks_the_server_nothing_and_ends_with_its_process(serve: Serve, tmp_path: Path) -> None:
    server = serve("ok")
    script = (
        "import pickle, sys\n"
        "tracker, result = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "study, run = tracker.open_study({}, 'max'), tracker.open_trial(0, {})\n"
        "run.log_epoch({'epoch': 1})\n"
        "run.finish(result)\n"
        "study.finish(0, None)\n"
    )
    given = pickle.dumps((tracker_of(tmp_path), result(**trial_files(tmp_path / "trial")))).hex()
    subprocess.run([sys.executable, "-c", script, given], check=True)
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2
    assert server.get("/seen")["requests"] == []


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_the_key_stands_in_no_file_and_no_log_of_a_study(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.DEBUG)
    serve("ok")
    tracker = tracker_of(tmp_path / "study", mode)
    (tmp_path / "tracker.pickle").write_bytes(pickle.dumps(tracker))
    study = tracker.open_study({"note": f"key {KEY}", "deep": [{KEY: KEY}]}, "max")
    run = tracker.open_trial(0, {**CONFIG, "note": KEY, "model": f"http://me:{KEY}@host/model.pt"})
    run.log_epoch(report(1))
    ending = Ending(Verdict.FAILED, f"cannot reach https://user:secret-word@host with {KEY}")
    run.finish(result(ending.verdict, ending.reason, effective={"note": KEY}))
    study.trial_ended(TrialSummary(0, {"note": KEY}, ending, best_epoch=1, value=0.1, epochs_total=1))
    study.finish(0, None)

    # by their ids, since a run whose server answers late has a second folder, in which it goes on offline
    runs = {path.name.partition("run-")[2].split("-", 1)[1] for path in tracker.folder.glob("*run-*")}
    assert runs == {"0a1b2c3d-study", "0a1b2c3d-0000"}
    assert_no_key(tmp_path, caplog.text)


def opened(folder: Path, seconds: float = 20.0) -> Path:
    """Waits until an online run is open, and returns its folder."""
    deadline = time.monotonic() + seconds
    while not (found := list(folder.glob("run-*/unsent"))):
        assert time.monotonic() < deadline, "no run was opened"
        time.sleep(0.02)
    return found[0].parent


def with_venv() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
