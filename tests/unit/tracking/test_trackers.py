"""The registry of trackers, a tracker of one's own, none, and what is kept out of texts; nothing here loads wandb."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from yolotune import tracking
from yolotune.config.layers import make_settings
from yolotune.config.settings import Settings
from yolotune.errors import UserError
from yolotune.metrics import overfitting, overfitting_level
from yolotune.record.verdict import Ending, Verdict
from yolotune.tracking import NullTracker, TrackingContext, TrialResult, TrialRun, TrialSummary, WandbTracker
from yolotune.tracking.none import NullStudyRun, NullTrialRun
from yolotune.tracking.wandb_environment import lent_environment


class JsonTrialRun(NullTrialRun):
    """Appends what happens in a trial to a file; what it does not need is inherited."""

    def __init__(self, path: Path, number: int) -> None:
        self._path, self._number = path, number

    def log_epoch(self, row: Mapping[str, Any]) -> None:
        self._write({"trial": self._number, **row})

    def finish(self, result: TrialResult) -> None:
        self._write({"trial": self._number, "verdict": result.ending.verdict, "value": result.value})

    def _write(self, said: Mapping[str, Any]) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")


@dataclass(frozen=True)
class JsonTracker(NullTracker):
    """A tracker of one's own: one file, with one line that registers it."""

    mode: str = "file"
    path: Path = Path("tracked.jsonl")

    @classmethod
    def preflight(cls, settings: Settings) -> tuple[str, str | None]:
        return "file", None

    @classmethod
    def create(cls, context: TrackingContext) -> JsonTracker:
        context.folder.mkdir(parents=True, exist_ok=True)
        return cls(context.mode, context.folder / "tracked.jsonl")

    def open_trial(self, number: int, config: Mapping[str, Any]) -> TrialRun:
        return JsonTrialRun(self.path, number)

    def notes(self) -> list[str]:
        return [f"tracked in {self.path}"]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's W&B."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.base, "_KINDS", dict(tracking.base._KINDS))
    tracking.register_tracker("json", JsonTracker)


def settings_of(**given: Any) -> Settings:
    return make_settings(data="data.yaml", **given)


def context_of(folder: Path, mode: str) -> TrackingContext:
    return TrackingContext(mode=mode, project="p", study="s", uid="u", folder=folder)


def result() -> TrialResult:
    ending = Ending(Verdict.COMPLETED, "")
    return TrialResult(ending, 1, 0.5, effective={}, weights=Path("best.pt"), curves=Path("curves"))


def use(tracker: tracking.Tracker) -> None:
    """Calls every method as the driver and a worker do, on the other side of a pickle."""
    study = tracker.open_study({}, "max")
    sent = pickle.loads(pickle.dumps(tracker))
    paused = sent.open_trial(0, {})
    paused.log_epoch({"epoch": 1})
    paused.pause()
    run = sent.open_trial(0, {})
    run.log_epoch({"epoch": 2})
    run.finish(result())
    study.trial_ended(TrialSummary(0, {}, result().ending, best_epoch=1, value=0.5, epochs_total=2))
    study.finish(0, Path("best.yaml"))


@pytest.mark.usefixtures("registered")
def test_a_tracker_of_ones_own_is_a_class_and_a_line(tmp_path: Path) -> None:
    settings = settings_of(tracker="json")
    mode, warning = tracking.preflight(settings)
    assert (mode, warning) == ("file", None)
    tracker = tracking.make_tracker(settings, context_of(tmp_path / "json", mode))
    use(tracker)

    written = [json.loads(line) for line in (tmp_path / "json" / "tracked.jsonl").read_text().splitlines()]
    epochs = [{"trial": 0, "epoch": 1}, {"trial": 0, "epoch": 2}]
    assert written == [*epochs, {"trial": 0, "verdict": "completed", "value": 0.5}]
    assert isinstance(tracker.open_study({}, "max"), NullStudyRun)
    assert tracker.notes() == [f"tracked in {tmp_path / 'json' / 'tracked.jsonl'}"]
    assert tracking.tracker_names() == ["json", "none", "wandb"]


def test_an_unknown_tracker_is_named_with_those_there_are(tmp_path: Path) -> None:
    settings = settings_of(tracker="wandbb")
    with pytest.raises(UserError, match=r"tracker: no tracker is called 'wandbb'. Did you mean wandb\?.*none, wandb"):
        tracking.preflight(settings)
    with pytest.raises(UserError, match="no tracker is called"):
        tracking.make_tracker(settings, context_of(tmp_path, "online"))


@pytest.mark.parametrize("given", [{"tracker": "none"}, {"tracker": "none", "wandb": "online"}, {"wandb": "disabled"}])
def test_no_tracking_writes_nothing(tmp_path: Path, given: dict[str, str]) -> None:
    settings = settings_of(**given)
    mode, warning = tracking.preflight(settings)
    assert (mode, warning) == ("disabled", None)
    tracker = tracking.make_tracker(settings, context_of(tmp_path, mode))
    use(tracker)
    assert isinstance(tracker, NullTracker)
    assert (tracker.mode, tracker.notes(), list(tmp_path.iterdir())) == ("disabled", [], [])


def test_wandb_is_asked_as_the_settings_say_and_made_for_its_folder(tmp_path: Path) -> None:
    settings = settings_of(wandb="offline")
    assert tracking.preflight(settings) == ("offline", None)
    tracker = tracking.make_tracker(settings, context_of(tmp_path, "offline"))
    assert isinstance(tracker, WandbTracker)
    assert (tracker.mode, tracker.folder) == ("offline", tmp_path)
    assert pickle.loads(pickle.dumps(tracker)) == tracker


def test_what_wandb_would_refuse_is_replaced(tmp_path: Path) -> None:
    given = {"project": "our/project?" * 20, "study": "s" * 200, "tags": ("t" * 100, "t" * 100, " ")}
    tracker = WandbTracker.create(TrackingContext(mode="offline", uid="u", folder=tmp_path, **given))
    assert isinstance(tracker, WandbTracker)
    context = tracker.context
    assert (len(context.project), len(context.group or ""), context.tags) == (128, 128, ("t" * 64,))
    assert context.project.startswith("our-project-our") and context.study == "s" * 200


def test_tracking_is_imported_without_anything_heavy() -> None:
    code = "import sys, yolotune.tracking; print(*{name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"wandb", "ray", "torch", "ultralytics", "optuna", "pandas"} & set(said)


def test_keys_and_passwords_are_kept_out_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k3y")
    assert tracking.redact("k3y at https://me:word@host/x") == "*** at https://***@host/x"
    assert tracking.redacted({"k3y": [Path("/k3y"), ("k3y", 1)], "lr0": 0.1}) == {
        "***": ["/***", ["***", 1]],
        "lr0": 0.1,
    }


def test_the_environment_is_lent_until_the_last_run_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_CACHE_DIR", "theirs")
    monkeypatch.setenv("WANDB_SERVICE", "of the driver")
    first, second = lent_environment(tmp_path), lent_environment(tmp_path)
    first.__enter__()
    second.__enter__()
    os.environ["WANDB_SERVICE"] = "of this process"
    first.__exit__(None, None, None)
    names = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_SERVICE")
    assert [os.environ[name] for name in names] == [str(tmp_path / "data"), "theirs", "of this process"]
    second.__exit__(None, None, None)
    assert [os.environ.get(name) for name in names] == [None, "theirs", "of the driver"]


@pytest.mark.parametrize(("gap", "word"), [(-0.1, "good"), (0.03, "good"), (0.15, "warning"), (0.35, "severe")])
def test_overfitting_has_the_guides_three_levels(gap: float, word: str) -> None:
    assert overfitting_level(gap) == word
    row = {"seg_metrics/F1": 0.5, "train_seg_metrics/F1": 0.5 + gap}
    assert overfitting(row)["overfitting/gap"] == pytest.approx(gap)
    assert overfitting({"seg_metrics/F1": 0.5}) == {}
    assert overfitting({"seg_metrics/F1": 0.0, "train_seg_metrics/F1": 0.01}) == {}, "it has learned nothing"
    assert overfitting({"seg_metrics/F1": float("nan"), "train_seg_metrics/F1": 0.5}) == {}
