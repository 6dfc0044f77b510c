"""What is remembered of studies, and a file that may be anything."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pasts import DATASET, ENVIRONMENT, SPACE, TASK, TRIALS, ended, keep
from yolotune import history
from yolotune.history import history_file, read_history, remember
from yolotune.proposals import propose
from yolotune.record import CONFIRMED, Verdict
from yolotune.similarity import Task
from yolotune.study import Study
from yolotune.yamlio import write_yaml


def names() -> list[str]:
    return [study.name for study in read_history()[0]]


def test_what_beat_the_defaults_is_remembered_best_first(tmp_path: Path) -> None:
    assert read_history() == ([], [])
    assert remember(ended(tmp_path / "one", space={**SPACE, "box": 6.0}, train={"optimizer": "AdamW"})) is None
    [study], notes = read_history()
    assert notes == []
    assert (study.uid, study.name, study.folder) == ("u1", "one", str(tmp_path / "one"))
    assert (study.defaults, study.mode, study.trials) == (0.2, "max", 5)
    assert study.fixed == {"optimizer": "AdamW", "box": 6.0, "warmup_bias_lr": 0.0, "close_mosaic": 0.1}
    assert [(p.trial, p.point["lr0"], p.value, p.confirmed) for p in study.points] == [
        (3, 0.004, 0.6, None),
        (1, 0.002, 0.5, None),
    ]
    assert study.task == Task(
        fingerprint="fish",
        images=400,
        objects=5.0,
        areas=(0.01, 0.04, 0.2),
        side=800.0,
        names=("cod", "eel"),
        nc=2,
        model="yolo11n-seg.pt",
        weights="aa",
        imgsz=640,
        epochs=20,
        objective="metrics/F1(M)",
    )


def test_of_a_loss_the_smaller_one_beats_the_defaults(tmp_path: Path) -> None:
    remember(ended(tmp_path / "one", objective="val/seg_loss"))
    [study], _ = read_history()
    assert study.mode == "min" and [point.trial for point in study.points] == [4]


def test_a_confirmed_point_comes_first_and_one_that_was_refuted_goes(tmp_path: Path) -> None:
    folder = ended(tmp_path / "one")
    (folder / CONFIRMED).parent.mkdir()
    means = [(0, 0.3), (3, 0.25), (1, 0.45)]  # on fresh seeds the defaults beat trial 3
    write_yaml(folder / CONFIRMED, {"points": [{"trial": trial, "mean": mean} for trial, mean in means]})
    remember(folder)
    [study], _ = read_history()
    assert [(point.trial, point.confirmed) for point in study.points] == [(1, 0.45)]


def test_a_study_that_goes_on_is_remembered_once(tmp_path: Path) -> None:
    for uid in ("u1", "u2", "u1"):
        remember(ended(tmp_path / uid / str(len(read_history()[0])), uid))
    assert [study.uid for study in read_history()[0]] == ["u2", "u1"]


@pytest.mark.parametrize("zero", [[], [({"lr0": 0.001, "batch": 16}, 0.2, Verdict.FAILED)]])
def test_without_a_value_of_the_defaults_no_point_is_known_to_be_better(tmp_path: Path, zero: list[Any]) -> None:
    remember(ended(tmp_path / "one", trials=zero))
    [study], _ = read_history()
    assert study.defaults is None and study.points == ()


def test_neither_secrets_nor_files_of_the_dataset_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setenv("WANDB_API_KEY", key)
    about = {**ENVIRONMENT, "dataset": {**DATASET, "names": {"0": key}}}
    train = {"optimizer": "AdamW", "cache": "disk", "classes": None}
    assert remember(ended(tmp_path / "one", about=about, train=train)) is None
    content = history_file().read_text()
    assert len(read_history()[0]) == 1
    for word in (key, "/secret", "data.yaml", "/weights", "disk"):
        assert word not in content
    assert history_file().parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("about", [{}, {"dataset": {"fingerprint": "a"}}, {**ENVIRONMENT, "model": None}])
def test_a_record_that_does_not_tell_what_it_trained_on_is_left_out(tmp_path: Path, about: Any) -> None:
    assert remember(ended(tmp_path / "one", about=about)) is None
    assert not history_file().exists()


def test_many_processes_write_at_the_same_time_and_nothing_is_lost(tmp_path: Path) -> None:
    wanted = {f"p{process}s{study}" for process in range(4) for study in range(5)}
    for uid in wanted:
        ended(tmp_path / uid, uid, TRIALS[:2])
    code = "import sys; from pathlib import Path; from yolotune.history import remember\n"
    code += "print(*(remember(Path(folder)) for folder in sys.argv[1:]))"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, *(str(tmp_path / f"p{process}s{study}") for study in range(5))],
            stdout=subprocess.PIPE,
            text=True,
        )
        for process in range(4)
    ]
    assert [writer.communicate()[0].split() for writer in writers] == [["None"] * 5] * 4
    assert set(names()) == wanted and read_history()[1] == []


def test_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "STUDIES", 2)
    for uid in ("u1", "u2", "u3"):
        remember(ended(tmp_path / uid, uid))
    assert names() == ["u2", "u3"]


def line(tmp_path: Path) -> dict[str, Any]:
    """Returns what is written of a study."""
    remember(ended(tmp_path / "one"))
    return dict(json.loads(history_file().read_text()))


def test_damaged_lines_are_passed_over_and_go_and_newer_ones_stay(tmp_path: Path) -> None:
    good = line(tmp_path)
    newer = {"schema": 2, "uid": "u1", "what": "ever"}
    damaged = [b'{"schema": 1, "uid"', b"\xff\x00", b"[]", b"17", b"{}", b'{"schema": true}', b"[" * 100_000]
    bad_amount = json.dumps({**good, "task": {**good["task"], "images": 0}}).encode()
    huge = json.dumps({**good, "points": [{**good["points"][0], "point": {"lr0": 10**400}}]}).encode()
    lines = [*damaged, bad_amount, huge, json.dumps(newer).encode(), json.dumps(good).encode()]
    path = keep(b"\n".join(lines) + b'\n{"schema": 1, "torn')
    studies, notes = read_history()
    assert [study.uid for study in studies] == ["u1"]
    assert notes == [
        f"history: passed over 10 of 12 lines of {path} that cannot be read.",
        f"history: passed over 1 of 12 lines of {path} from a newer yolotune.",
    ]
    assert remember(ended(tmp_path / "two", "u2")) is None
    assert [json.loads(said)["uid"] for said in path.read_text().splitlines()] == ["u1", "u1", "u2"]
    assert json.loads(path.read_text().splitlines()[0]) == newer


def test_of_a_file_that_is_too_large_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = json.dumps(line(tmp_path))
    monkeypatch.setattr(history, "MOST", 2 * len(good) + 10)
    keep("x" * 100_000 + f"\n{good}\n")
    assert read_history()[1] == [] and names() == ["one"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["lr0", "batch", "x"]), inner),
    max_leaves=5,
)
PLACES = [
    *(("task", key) for key in Task.__dataclass_fields__),
    *(("points", 0, key) for key in ("trial", "point", "effective", "epochs", "value", "confirmed")),
    *((key,) for key in ("schema", "uid", "name", "folder", "ended", "task", "mode", "fixed", "trials", "points")),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3))
def test_whatever_stands_in_it_a_study_is_planned_and_written(tmp_path: Path, changes: list[Any]) -> None:
    folder = tmp_path / "one"
    if not folder.exists():
        (tmp_path / "good.json").write_text(json.dumps(line(tmp_path)))
    said = json.loads((tmp_path / "good.json").read_text())
    for place, value in changes:
        at: Any = said
        for key in place[:-1]:
            at = at[key] if isinstance(at, (dict, list)) and at and (isinstance(at, list) or key in at) else {}
        if isinstance(at, dict):
            at[place[-1]] = value
    keep(json.dumps(said) + "\n")
    sources, notes = propose(Study(data="d.yaml", space=SPACE), TASK, {"lr0": 0.001, "batch": 16})
    assert len(sources) <= 3 and all(isinstance(note, str) for note in notes)
    assert remember(folder) is None


def test_a_history_that_cannot_be_read_or_written_is_a_note(tmp_path: Path) -> None:
    folder = ended(tmp_path / "one")
    history_file().mkdir(parents=True)
    assert read_history()[0] == [] and "cannot be read ([Errno 21] Is a directory" in read_history()[1][0]
    assert "not in it: [Errno 21]" in str(remember(folder))
    shutil.rmtree(history_file().parent)
    history_file().parent.write_text("a file where the folder should be")
    assert "[Errno 20]" in read_history()[1][0]
    assert "not in it: [Errno" in str(remember(folder))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_is_read_only_is_a_note(tmp_path: Path) -> None:
    folder = ended(tmp_path / "one")
    history_file().parent.parent.mkdir(parents=True)
    history_file().parent.parent.chmod(0o500)
    assert read_history() == ([], [])
    assert "Permission denied" in str(remember(folder))


def test_a_user_without_a_home_has_no_history_and_is_told(tmp_path: Path) -> None:
    folder = ended(tmp_path / "one")
    code = "import os; os.environ.pop('HOME', 0); os.environ.pop('XDG_DATA_HOME', 0)\n"
    code += "import pwd; pwd.getpwuid = lambda uid: {}[uid]  # as where a container's user is a mere number\n"
    code += "from pathlib import Path; from yolotune.history import read_history, remember\n"
    code += f"print(read_history()); print(remember(Path({str(folder)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    read, wrote = done.stdout.splitlines()
    assert "there is no home folder" in read and "there is no home folder" in wrote
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]


def test_a_full_disk_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    remember(ended(tmp_path / "one"))
    before = history_file().read_bytes()
    folder = ended(tmp_path / "two", "u2")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limit[1]))
    try:
        said = remember(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert said is not None and "File too large" in said
    assert history_file().read_bytes() == before
    assert sorted(path.name for path in history_file().parent.iterdir()) == ["history.jsonl", "history.lock"]


def test_who_holds_the_history_delays_nobody_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PATIENCE_S", 0.1)
    remember(ended(tmp_path / "one"))
    with FileLock(history_file().with_suffix(".lock")):
        assert "could not be acquired" in str(remember(ended(tmp_path / "two", "u2")))
    assert names() == ["one"]


def test_a_relative_data_home_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert history_file() == tmp_path / ".local/share/yolotune/history.jsonl"
