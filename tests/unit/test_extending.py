"""The examples of docs/extending.md, run as they stand there."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from records import write_study
from yolotune import tracking
from yolotune.config import scheduling
from yolotune.config.layers import make_settings
from yolotune.record.study import read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.report import chart, write_report
from yolotune.schedulers import Action, Report, base, make_scheduler, resolve
from yolotune.search import Optimizer, samplers
from yolotune.training import tasks

DOCS = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCKS = re.findall(r"```python\n(?:# (\w+)\.py\n)?(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
SPACE = {"lr0": "loguniform(1e-4, 1e-1)"}


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the examples register is gone after each test."""
    for module, name in (
        (samplers, "_FACTORIES"),
        (base, "_FACTORIES"),
        (scheduling, "_KNOWN"),
        (tracking.base, "_KINDS"),
        (tasks, "_TASKS"),
    ):
        monkeypatch.setattr(module, name, dict(getattr(module, name)))
    monkeypatch.setattr(chart, "_BUILDERS", {section: list(built) for section, built in chart._BUILDERS.items()})


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Imports an example by the name of its file."""
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = []

    def load(name: str) -> ModuleType:
        (text,) = [text for title, text in BLOCKS if title == name]
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        loaded.append(name)
        return __import__(name)

    yield load
    for name in loaded:
        sys.modules.pop(name, None)


def test_a_sampler(example) -> None:  # type: ignore[no-untyped-def]
    example("my_sampler")
    settings = resolve(make_settings(data="d.yaml", preset="none", space=SPACE, search="qmc", num_samples=3))
    optimizer = Optimizer(settings, [{"lr0": 0.001}])
    points = []
    while (suggestion := optimizer.ask()) is not None:
        points.append(suggestion.point["lr0"])
        optimizer.tell(suggestion.number, Ending(Verdict.COMPLETED, "all"))
    assert points[0] == 0.001 and len(set(points)) == 3


def test_a_scheduler(example, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    example("my_scheduler")
    scheduler = {"name": "median", "after": 2}
    settings = resolve(make_settings(data="d.yaml", preset="none", space=SPACE, scheduler=scheduler, num_samples=3))
    rule = make_scheduler(settings)

    def judged(number: int, epoch: int, value: float) -> Action:
        return rule.judge(Report(number, {}, epoch, {settings.metric: value})).action

    assert [judged(0, 1, 0.1), judged(0, 2, 0.5), judged(1, 1, 0.0), judged(1, 2, 0.4)] == [
        Action.CONTINUE, Action.CONTINUE, Action.CONTINUE, Action.STOP
    ]  # fmt: skip
    record = read_study(write_study(tmp_path / "s", trials=3, epochs=4, scheduler=scheduler))
    assert record.settings.scheduler.name == "median"
    again = make_scheduler(record.settings)
    again.rebuild(record.trials)
    assert again.seen.keys() == {2, 3, 4}  # type: ignore[attr-defined]


def test_a_tracker(example, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    example("my_tracker")
    settings = make_settings(data="d.yaml", preset="none", space=SPACE, tracker="file")
    mode, warning = tracking.preflight(settings)
    context = tracking.TrackingContext(mode=mode, project="p", study="s", uid="u", folder=tmp_path / "file")
    tracker = pickle.loads(pickle.dumps(tracking.make_tracker(settings, context)))
    run = tracker.open_trial(3, {})
    run.log_epoch({"epoch": 1, "seg_metrics/F1": 0.5})
    result = tracking.TrialResult(Ending(Verdict.COMPLETED, "all"), 1, 0.5, {}, Path("w"), Path("c"))
    run.finish(result)
    lines = [json.loads(line) for line in (tmp_path / "file" / "tracked.jsonl").read_text().splitlines()]
    assert lines == [
        {"trial": 3, "epoch": 1, "seg_metrics/F1": 0.5},
        {"trial": 3, "verdict": "completed", "value": 0.5},
    ]
    assert warning is None and tracker.notes() == [f"Tracked: {tmp_path / 'file' / 'tracked.jsonl'}"]


def test_a_chart(example, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    example("my_chart")
    page = write_report(write_study(tmp_path / "s", trials=3, epochs=4), photos=False).read_text(encoding="utf-8")
    assert "<h2>Time</h2>" in page and "Seconds of 3 trials." in page


def test_a_task(example) -> None:  # type: ignore[no-untyped-def]
    trainer = example("detect_task").DetectTrialTrainer
    (registration,) = [text for title, text in BLOCKS if "register_task(" in text]
    exec(registration, {})
    assert tasks.task_named("detect") is trainer
    trained = Path(__file__).parents[1] / "extending" / "detect_task.py"  # by tests/integration/test_tasks.py
    (text,) = [text for title, text in BLOCKS if title == "detect_task"]
    assert trained.read_text(encoding="utf-8").endswith(text)


def test_every_example_is_run() -> None:
    names = {title for title, _ in BLOCKS if title}
    assert names == {"my_sampler", "my_scheduler", "my_tracker", "my_chart", "detect_task"}
