"""W&B with the real client: what it wrote is read back from its files and compared with what was reported.

The server is a process of our own on loopback that misbehaves. It is no W&B: that a real server takes what is sent is
not shown here.
"""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wandb_process import Server
from wandb_reader import Run, read_run
from yolotune import metrics
from yolotune.record.study import Ending, Verdict
from yolotune.tracking import wandb_session as session
from yolotune.tracking.wandb import (
    CURVES,
    NullRun,
    Tracking,
    open_trial_run,
    outage,
    overfitting,
    overfitting_level,
    sync_line,
)
from yolotune.tracking.wandb_preflight import preflight, redact
from yolotune.tracking.wandb_study import NullStudyRun, open_study_run

TESTS = Path(__file__).parents[1]
KEY = "5e471e1" + "0123456789abcdef" * 3
POINT = {"lr0": 0.0012, "momentum": 0.9, "batch": 16}
FIXED = {"imgsz": 64, "optimizer": "AdamW", "seed": 0}
MISBEHAVIOURS = ("401", "500", "hang", "garbage", "stranger")


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Waits for a condition and returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.fixture
def serve(clean: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Server]]:
    servers: list[Server] = []

    def start(behaviour: str) -> Server:
        servers.append(Server(behaviour))
        monkeypatch.setenv("WANDB_BASE_URL", servers[-1].url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing of the user's W&B, and a wandb that has not read another test's variables."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


@pytest.fixture
def tracking(tmp_path: Path) -> Tracking:
    return Tracking("offline", "shapes", None, "my study", "0a1b2c3d", tmp_path / "study" / "wandb", ("tpe", "asha"))


def report(epoch: int, *, train: float = 0.0) -> dict[str, Any]:
    """An epoch report with every name of the guide, each with a number of its own."""
    names = (*metrics.SCORES, *metrics.VAL_LOSSES, *metrics.TRAIN_LOSSES, "lr/pg0", "seconds")
    row = {name: round((epoch + place / 100) / 10, 5) for place, name in enumerate(names)}
    return {"epoch": epoch, **row, "train_seg_metrics/F1": round(row["seg_metrics/F1"] + train, 5)}


def trial_files(folder: Path, *, without: tuple[str, ...] = ()) -> tuple[Path, Path]:
    """Makes what a training leaves behind: best.pt and the thirteen curves."""
    (folder / "weights").mkdir(parents=True)
    (folder / "curves").mkdir()
    (folder / "weights" / "best.pt").write_bytes(b"weights")
    for name in set(CURVES) - set(without):
        path = folder / "curves" / name
        path.write_text("epoch\n1\n") if path.suffix == ".csv" else Image.new("RGB", (4, 4)).save(path)
    return folder / "weights" / "best.pt", folder / "curves"


def offline_runs(tracking: Tracking, run_id: str) -> list[Run]:
    """The runs with an id as their files tell, oldest first."""
    files = sorted(tracking.folder.glob(f"offline-run-*-{run_id}/*.wandb"), key=lambda path: path.stat().st_mtime)
    return [read_run(path.parent) for path in files]


def expected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as W&B keeps them: with the gap, and with a word for NaN, which equals nothing."""
    written = [{**row, **overfitting(row)} for row in rows]
    return [{k: "NaN" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in written]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said to the user; wandb's own words go into its log files."""
    ours = [record for record in caplog.records if record.name == "yolotune.wandb"]
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]


# --- what a run shows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "epochs", "exit_code"),
    [
        (Verdict.COMPLETED, 5, 0),
        (Verdict.PRUNED, 2, 0),
        (Verdict.PLATEAUED, 4, 0),
        (Verdict.DIVERGED, 3, 0),
        (Verdict.OOM, 1, 0),
        (Verdict.INTERRUPTED, 2, 0),
        (Verdict.FAILED, 1, 1),
    ],
)
def test_an_offline_run_holds_the_trial_exactly_as_it_was(
    tracking: Tracking, tmp_path: Path, verdict: Verdict, epochs: int, exit_code: int
) -> None:
    rows = [report(epoch, train=0.2) for epoch in range(1, epochs + 1)]
    if verdict is Verdict.DIVERGED:
        rows[-1]["train/box"] = math.nan
    weights, curves = trial_files(tmp_path / "trial")

    run = open_trial_run(tracking, 7, POINT, FIXED, "yolo11n-seg.pt")
    for row in rows:
        run.log_epoch(row)
    run.finish(Ending(verdict, "for a reason"), 1, 0.12, {"batch": 8}, weights, curves)

    (seen,) = offline_runs(tracking, "0a1b2c3d-0007")
    assert seen.rows() == expected(rows)
    assert [row["_step"] for row in seen.history][: len(rows)] == [row["epoch"] for row in rows]
    assert seen.axes == {"*": "epoch"}
    assert (seen.id, seen.name, seen.project) == ("0a1b2c3d-0007", "trial-0007", "shapes")
    assert (seen.group, seen.job_type, seen.exit_code) == ("my study", "trial", exit_code)
    assert seen.tags == ("tpe", "asha", str(verdict))
    assert seen.config == {**FIXED, **POINT, "batch": 8, "model": "yolo11n-seg.pt"}
    ended = {
        "verdict": str(verdict),
        "reason": "for a reason",
        "best_epoch": 1,
        "value": 0.12,
        "overfitting": "warning",
    }
    assert ended.items() <= seen.summary.items()
    model = seen.artifacts["best_model_trial_0a1b2c3d-0007"]
    assert (model["type"], model["aliases"], set(model["files"])) == ("model", {"best", "latest"}, {"best.pt"})
    assert set(seen.artifacts["curves_trial_0a1b2c3d-0007"]["files"]) == set(CURVES)
    images = {name for name in seen.history[-1] if name.startswith("curves/")}
    assert images == {f"curves/{Path(name).stem}" for name in CURVES if not name.endswith(".csv")}


def test_staged_artifacts_lie_in_the_study_and_stay_as_they_were(tracking: Tracking, tmp_path: Path) -> None:
    weights, curves = trial_files(tmp_path / "trial")
    run = open_trial_run(tracking, 0, POINT, FIXED, "m")
    run.finish(Ending(Verdict.INTERRUPTED, "Ctrl-C"), 1, 0.1, {}, weights, curves)
    weights.write_bytes(b"other weights of the continued trial")

    (seen,) = offline_runs(tracking, "0a1b2c3d-0000")
    staged = seen.artifacts["best_model_trial_0a1b2c3d-0000"]["files"]["best.pt"]
    assert staged.is_relative_to(tracking.folder)
    assert staged.read_bytes() == b"weights"
    assert not [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_CONFIG_DIR"]


def test_files_that_are_missing_are_left_out(tracking: Tracking, tmp_path: Path) -> None:
    weights, curves = trial_files(tmp_path / "trial", without=("results.png", "labels.jpg"))
    weights.unlink()
    run = open_trial_run(tracking, 0, POINT, FIXED, "m")
    run.finish(Ending(Verdict.FAILED, "no epoch"), None, None, {}, weights, curves)
    run = open_trial_run(tracking, 1, POINT, FIXED, "m")
    run.finish(Ending(Verdict.FAILED, "nothing at all"), None, None, {}, tmp_path / "none.pt", tmp_path / "none")

    (first,), (second,) = offline_runs(tracking, "0a1b2c3d-0000"), offline_runs(tracking, "0a1b2c3d-0001")
    assert set(first.artifacts) == {"curves_trial_0a1b2c3d-0000"}
    assert len(first.artifacts["curves_trial_0a1b2c3d-0000"]["files"]) == 11
    assert (second.artifacts, second.summary["value"], second.exit_code) == ({}, None, 1)


def test_the_study_run_shows_the_table_the_best_so_far_and_best_yaml(tracking: Tracking, tmp_path: Path) -> None:
    best_yaml = tmp_path / "best.yaml"
    best_yaml.write_text("lr0: 0.001\n")
    run = open_study_run(tracking, {"epochs": 3, "space": {"lr0": [0.001, 0.1]}})
    run.trial_ended(0, {"lr0": 0.1}, Ending(Verdict.COMPLETED, ""), 3, 0.5, 3, log=False)
    run.trial_ended(1, {"lr0": 0.2}, Ending(Verdict.PRUNED, ""), 1, 0.3, 4)
    run.trial_ended(2, {"lr0": 0.3}, Ending(Verdict.FAILED, ""), None, None, 4)
    run.trial_ended(3, {"lr0": 0.4}, Ending(Verdict.COMPLETED, ""), 2, 0.7, 7)
    run.finish(3, best_yaml)

    (seen,) = offline_runs(tracking, "0a1b2c3d-study")
    best = [(row["trials"], row["epochs"], row["best/over_trials"], row["best/over_epochs"]) for row in seen.rows()]
    assert best == [(2, 4, 0.5, 0.5), (3, 4, 0.5, 0.5), (4, 7, 0.7, 0.7)]
    assert (seen.axes["best/over_trials"], seen.axes["best/over_epochs"]) == ("trials", "epochs")
    table = seen.history[-1]["trials_table"]
    (folder,) = tracking.folder.glob("offline-run-*-study")
    kept = json.loads((folder / "files" / table["path"]).read_text())
    assert kept["columns"] == ["trial", "lr0", "verdict", "best_epoch", "value"]
    assert kept["data"] == [
        [0, 0.1, "completed", 3, 0.5],
        [1, 0.2, "pruned", 1, 0.3],
        [2, 0.3, "failed", None, None],
        [3, 0.4, "completed", 2, 0.7],
    ]
    assert (seen.job_type, seen.group, seen.name, seen.exit_code) == ("study", "my study", "my study", 0)
    assert seen.summary["best_trial_run_id"] == "0a1b2c3d-0003"
    assert seen.summary["best_artifact"] == "best_model_trial_0a1b2c3d-0003:latest"
    assert set(seen.artifacts["best_config_0a1b2c3d"]["files"]) == {"best.yaml"}


def test_a_sigkilled_trial_loses_no_more_than_five_seconds_and_continues_the_same_run(
    tracking: Tracking, tmp_path: Path
) -> None:
    rows = [report(epoch) for epoch in range(1, 6)]
    script = (
        "import json, pickle, sys, time\n"
        "from yolotune.tracking.wandb import open_trial_run\n"
        "tracking, rows = pickle.loads(bytes.fromhex(sys.argv[1])), json.loads(sys.argv[2])\n"
        "run = open_trial_run(tracking, 3, {'lr0': 0.1}, {}, 'm')\n"
        "for row in rows: run.log_epoch(row)\n"
        "print('logged', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, pickle.dumps(tracking).hex(), json.dumps(rows[:3])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_venv()) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "logged\n"
            began = time.monotonic()
            until(lambda: [len(run.rows()) for run in offline_runs(tracking, "0a1b2c3d-0003")] == [3])
            assert time.monotonic() - began < 5
        finally:
            process.send_signal(signal.SIGKILL)

    run = open_trial_run(tracking, 3, {"lr0": 0.1}, {}, "m")
    for row in rows[3:]:
        run.log_epoch(row)
    run.finish(Ending(Verdict.COMPLETED, ""), 5, 0.5, {}, tmp_path / "none.pt", tmp_path / "none")

    killed, continued = offline_runs(tracking, "0a1b2c3d-0003")
    assert killed.rows() + continued.rows() == expected(rows)
    assert (killed.exit_code, continued.exit_code) == (None, 0)
    assert (killed.name, killed.group, killed.config) == (continued.name, continued.group, continued.config)


def test_a_disabled_study_writes_nothing_and_does_not_load_wandb(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from yolotune.tracking.wandb_preflight import preflight\n"
        "from yolotune.record.study import Ending, Verdict\n"
        "from yolotune.tracking.wandb_study import open_study_run\n"
        "from yolotune.tracking.wandb import Tracking, open_trial_run, sync_line\n"
        f"tracking = Tracking(preflight('disabled')[0], 'p', None, 's', 'u', Path({str(tmp_path)!r}) / 'wandb')\n"
        "run, study = open_trial_run(tracking, 0, {}, {}, 'm'), open_study_run(tracking, {})\n"
        "end = Ending('failed', '')\n"
        "run.log_epoch({'epoch': 1}); run.finish(end, None, None, {}, Path('x'), Path('x'))\n"
        "study.trial_ended(0, {}, end, None, None, 0); study.finish(None, None)\n"
        "assert sync_line(tracking) is None and 'wandb' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert not (tmp_path / "wandb").exists()


def test_the_null_runs_have_the_same_methods() -> None:
    from yolotune.tracking.wandb import TrialRun
    from yolotune.tracking.wandb_study import StudyRun

    for null, real in ((NullRun, TrialRun), (NullStudyRun, StudyRun)):
        methods = {name for name in vars(real) if name[0] != "_"}
        assert methods == {name for name in vars(null) if name[0] != "_"}


# --- the server ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [*MISBEHAVIOURS, "nothing listens", "no key"])
@pytest.mark.parametrize("asked", ["auto", "online"])
def test_a_server_that_misbehaves_makes_the_study_offline_with_one_warning(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch, behaviour: str, asked: str
) -> None:
    server = serve(behaviour if behaviour in MISBEHAVIOURS else "ok")
    if behaviour == "nothing listens":
        server.kill()
    if behaviour == "no key":
        monkeypatch.delenv("WANDB_API_KEY")
    began = time.monotonic()
    mode, warning = preflight(asked)
    assert time.monotonic() - began < 8
    assert mode == "offline"
    assert warning is not None and warning.count("\n") == 0 and warning.endswith("the runs are kept offline.")
    assert "127.0.0.1" in warning and KEY not in warning


def test_a_server_that_trickles_cannot_hold_the_preflight(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert time.monotonic() - began < 8
        assert mode == "offline" and "did not answer" in str(warning)
        process.kill()


def test_a_server_that_answers_makes_the_study_online(serve: Callable[[str], Server]) -> None:
    serve("ok")
    assert preflight() == ("online", None)


def test_the_key_may_stand_in_netrc(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = serve("ok")
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text(f"machine {server.url.removeprefix('http://')}\n login user\n password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    assert preflight() == ("online", None)
    assert redact(f"key {KEY}") == "key ***"


@pytest.mark.parametrize(("said", "mode"), [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")])
def test_auto_does_what_wandb_mode_says(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch, said: str, mode: str
) -> None:
    serve("ok")
    monkeypatch.setenv("WANDB_MODE", said)
    assert preflight() == (mode, None)
    assert preflight("online") == ("online", None)


def test_an_online_run_arrives_at_the_server_number_by_number(
    serve: Callable[[str], Server], tracking: Tracking, tmp_path: Path
) -> None:
    server = serve("ok")
    online = replace(tracking, mode="online")
    rows = [report(epoch) for epoch in range(1, 4)]
    weights, curves = trial_files(tmp_path / "trial")
    run = open_trial_run(online, 1, POINT, FIXED, "m")
    for row in rows:
        run.log_epoch(row)
    run.finish(Ending(Verdict.PRUNED, ""), 1, 0.1, {}, weights, curves)

    seen = server.get("/seen")
    assert Run(history=seen["history"]["0a1b2c3d-0001"]).rows() == expected(rows)
    assert seen["exits"] == {"0a1b2c3d-0001": 0}
    assert seen["operations"].count("CreateArtifact") == 2
    assert run.url == f"{server.url}/someone/shapes/runs/0a1b2c3d-0001"
    assert (sync_line(online), outage(online)) == (None, None)


def test_a_model_that_the_server_does_not_have_costs_its_link_and_nothing_else(
    serve: Callable[[str], Server], tracking: Tracking, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve("ok")
    lineage = {"search_uid": "feed", "search_run_id": "feed-0007"}
    online = replace(tracking, mode="online", kind="retrain", lineage=lineage)
    run = open_trial_run(online, 0, POINT, FIXED, "m")
    run.log_epoch(report(1))
    run.finish(Ending(Verdict.COMPLETED, ""), 1, 0.1, {}, tmp_path / "none.pt", tmp_path / "none")

    assert any("artifact" in name.lower() for name in server.get("/seen")["operations"]), "it was asked for"
    (folder,) = online.folder.glob("run-*-0a1b2c3d-0000")
    seen = read_run(folder)
    assert seen.summary["search_model_linked"] is False and seen.rows() == expected([report(1)])
    assert (seen.job_type, seen.exit_code) == ("retrain", 0)
    assert lineage.items() <= seen.config.items() and not warnings(caplog)


@pytest.mark.parametrize("behaviour", ["hang", "500", "dies"])
def test_a_server_lost_during_a_trial_costs_bounded_time_and_no_data(
    serve: Callable[[str], Server],
    tracking: Tracking,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    behaviour: str,
) -> None:
    monkeypatch.setattr(session, "UPLOAD_S", 3.0)
    server = serve("ok")
    online = replace(tracking, mode="online")
    rows = [report(epoch) for epoch in range(1, 7)]
    weights, curves = trial_files(tmp_path / "trial")
    run = open_trial_run(online, 1, POINT, FIXED, "m")
    for row in rows[:3]:
        run.log_epoch(row)
    until(lambda: run.url)
    server.kill() if behaviour == "dies" else server.get(f"/behave/{behaviour}")
    began = time.monotonic()
    for row in rows[3:]:
        run.log_epoch(row)
    assert time.monotonic() - began < 0.1, "training waited for W&B"
    run.finish(Ending(Verdict.COMPLETED, "all"), 6, 0.6, {}, weights, curves)
    assert time.monotonic() - began < 5 + 3 + 4

    (begun,) = online.folder.glob("run-*-0a1b2c3d-0001")
    assert read_run(begun).rows() == expected(rows)
    (rest,) = offline_runs(online, "0a1b2c3d-0001")
    assert set(rest.artifacts) == {"best_model_trial_0a1b2c3d-0001", "curves_trial_0a1b2c3d-0001"}
    assert (rest.summary["verdict"], rest.tags[-1], rest.exit_code) == ("completed", "completed", 0)
    line = sync_line(online)
    assert line is not None and line.startswith("wandb sync --include-online ") and str(begun) in line
    dry = subprocess.run(f"{line} --dry-run", shell=True, capture_output=True, text=True, env=with_venv())
    assert "Would sync 2 run(s)" in dry.stderr

    began = time.monotonic()
    later = open_trial_run(online, 2, POINT, FIXED, "m")
    later.log_epoch(rows[0])
    later.finish(Ending(Verdict.COMPLETED, ""), 1, 0.1, {}, weights, curves)
    assert time.monotonic() - began < 3, "the study is offline once the server is lost"
    assert [run.rows() for run in offline_runs(online, "0a1b2c3d-0002")] == [expected(rows[:1])]
    assert warnings(caplog) == [outage(online)]
    assert_no_key(tmp_path, caplog)


def test_a_server_that_hangs_when_a_run_is_opened_loses_nothing(
    serve: Callable[[str], Server],
    tracking: Tracking,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(session, "INIT_S", 2.0)
    serve("hang")
    online = replace(tracking, mode="online")
    rows = [report(epoch) for epoch in range(1, 4)]
    began = time.monotonic()
    run = open_trial_run(online, 1, POINT, FIXED, "m")
    for row in rows:
        run.log_epoch(row)
    assert time.monotonic() - began < 0.5, "training waited for W&B"
    run.finish(Ending(Verdict.COMPLETED, ""), 3, 0.3, {}, tmp_path / "none.pt", tmp_path / "none")
    assert time.monotonic() - began < 10
    (seen,) = offline_runs(online, "0a1b2c3d-0001")
    assert seen.rows() == expected(rows)
    assert warnings(caplog) == [outage(online)]
    assert_no_key(tmp_path, caplog)


def test_a_client_that_breaks_is_reported_once_and_never_raises(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    import wandb

    def broken(**_: Any) -> None:
        raise RuntimeError(f"no luck with {KEY}")

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(wandb, "init", broken)
    run = open_trial_run(tracking, 0, POINT, FIXED, "m")
    run.log_epoch(report(1))
    run.finish(Ending(Verdict.COMPLETED, ""), 1, 0.1, {}, tmp_path / "none.pt", tmp_path / "none")
    assert warnings(caplog) == ["W&B: opening a run failed: RuntimeError: no luck with ***"]


def test_a_client_that_never_returns_cannot_hold_a_trial(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import threading

    release = threading.Event()
    opened = session.Session("offline", tracking.folder, {"id": "x", "project": "p"})
    opened.do("waiting", lambda run: release.wait(20))
    began = time.monotonic()
    opened.finish(lambda run: None, 0, seconds=0.3)
    assert time.monotonic() - began < 2
    assert "was not finished after" in str(outage(tracking))
    release.set()
    opened._thread.join(20)


# --- secrets, variables, arithmetic ----------------------------------------------------------------------------------


def test_the_key_stands_in_no_file_and_no_log_of_a_study(
    serve: Callable[[str], Server], tracking: Tracking, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    serve("ok")
    for mode in ("online", "offline"):
        used = replace(tracking, mode=mode, uid=f"{mode:.8}")
        (tmp_path / f"{mode}.pickle").write_bytes(pickle.dumps(used))
        study = open_study_run(used, {"note": f"key {KEY}", "deep": [{KEY: KEY}]})
        run = open_trial_run(used, 0, {**POINT, "note": KEY}, FIXED, f"http://me:{KEY}@host/model.pt")
        run.log_epoch(report(1))
        ending = Ending(Verdict.FAILED, f"cannot reach https://user:secret-word@host with {KEY}")
        run.finish(ending, 1, 0.1, {"note": KEY}, tmp_path / "none.pt", tmp_path / "none")
        study.trial_ended(0, {"note": KEY}, ending, 1, 0.1, 1)
        study.finish(0, None)
    # by their ids, since a run whose server answers late has a second folder, in which it goes on offline
    runs = {path.name.partition("run-")[2].split("-", 1)[1] for path in tracking.folder.glob("*run-*")}
    assert runs == {f"{mode}-{one}" for mode in ("online", "offline") for one in ("study", "0000")}
    assert_no_key(tmp_path / "study", caplog)
    assert_no_key(tmp_path, caplog)


def assert_no_key(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The key is nowhere, neither plain nor as a header has it, and no password of an address is."""
    from yolotune.tracking.wandb_preflight import _basic

    secrets = [KEY.encode(), _basic(KEY).encode(), b"secret-word"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not [secret for secret in secrets if secret in path.read_bytes()], path
    assert KEY not in caplog.text


def with_venv() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_wandbs_own_variables_go_before_what_the_study_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "WANDB_PROJECT": "theirs",
        "WANDB_ENTITY": "team",
        "WANDB_RUN_GROUP": "group",
        "WANDB_JOB_TYPE": "sweep",
        "WANDB_TAGS": "one, tpe",
        "WANDB_DIR": str(tmp_path / "elsewhere"),
    }
    common = {"project": "our/project", "study": "s", "uid": "u", "folder": tmp_path / "wandb", "tags": ("tpe",)}
    plain = Tracking.from_environment("offline", **common)  # type: ignore[arg-type]
    assert (plain.project, plain.entity, plain.tags, plain.folder) == (
        "our-project",
        None,
        ("tpe",),
        tmp_path / "wandb",
    )
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    theirs = Tracking.from_environment("offline", **common)  # type: ignore[arg-type]
    for name in given:
        monkeypatch.delenv(name)  # as in a trial on another machine
    run = open_trial_run(theirs, 0, {}, {}, "m")
    run.finish(Ending(Verdict.PRUNED, ""), None, None, {}, tmp_path / "none.pt", tmp_path / "none")

    assert theirs.entity == "team"
    assert theirs.folder == tmp_path / "elsewhere" / "wandb"
    (seen,) = offline_runs(theirs, "u-0000")
    assert (seen.project, seen.group, seen.job_type, seen.tags) == (
        "theirs",
        "group",
        "sweep",
        ("tpe", "one", "pruned"),
    )
    assert str(sync_line(theirs)) == f"wandb sync {tmp_path}/elsewhere/wandb/offline-run-*-u-*"


@pytest.mark.parametrize(("gap", "word"), [(-0.1, "good"), (0.03, "good"), (0.15, "warning"), (0.35, "severe")])
def test_overfitting_has_the_guides_three_levels(gap: float, word: str) -> None:
    assert overfitting_level(gap) == word
    row = {"seg_metrics/F1": 0.5, "train_seg_metrics/F1": 0.5 + gap}
    assert overfitting(row)["overfitting/gap"] == pytest.approx(gap)
    assert overfitting({"seg_metrics/F1": 0.5}) == {}
    assert overfitting({"seg_metrics/F1": math.nan, "train_seg_metrics/F1": 0.5}) == {}
