"""Whole studies: real Ray, Optuna and YOLO11n-seg trainings, read back from the files they leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from studies import SMALL, search
from yolotune.record.frames import epochs_frame
from yolotune.record.study import StudyRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.tuner.events import Listener

pytestmark = pytest.mark.usefixtures("shared_ray")

CURVES = {"MaskPR_curve.png", "BoxF1_curve.png", "confusion_matrix.png", "results.png", "results.csv", "labels.jpg"}
FAST = {**SMALL["train"], "plots": False}


class Told(Listener):
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.images: set[str] = set()

    def study_started(self, folder: Path, plan: Any) -> None:
        self.folder, self.plan = folder, plan

    def trial_started(self, number: int, point: Any) -> None:
        self.events.append(("start", number))

    def epoch_reported(self, number: int, row: dict[str, Any]) -> None:
        self.events.append(("epoch", number))
        self.images |= {file.name[:9] for file in self.folder.glob("data/images/*")}

    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None:
        self.events.append((str(ending.verdict), number))

    def interrupted(self) -> None:
        self.events.append(("interrupted", -1))

    def note(self, text: str) -> None:
        self.events.append((text, -1))


@pytest.fixture(scope="module")
def ended(shared_ray: None, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyRecord, Told]:
    """Five trials under ASHA that ranks by the class loss: its gain `cls` decides who is cut at the first rung."""
    told = Told()
    given: dict[str, Any] = {
        "name": "ended",
        "epochs": 3,
        "num_samples": 5,
        "concurrent": 2,
        "objective": "val/cls_loss",
        "points": [{"lr0": 0.0011, "cls": cls, "batch": 6} for cls in (0.6, 2.8, 2.9)],
        "scheduler": {"name": "asha", "grace_period": 1, "reduction_factor": 2, "rank": "best"},
    }
    return search(shapes, tmp_path_factory.mktemp("project"), told, **given), told


def test_trials_share_decoded_images_that_are_gone_when_the_study_has_ended(ended: tuple[StudyRecord, Told]) -> None:
    record, told = ended
    assert told.images == {"labels-tr", "labels-va"}
    assert not (record.folder / "data" / "images").exists()
    assert told.plan.images > 0, "decoded once for all trials"


def test_the_record_holds_every_epoch_of_every_trial_once(ended: tuple[StudyRecord, Told]) -> None:
    record, told = ended
    assert [trial.number for trial in record.trials] == list(range(5))
    for trial in record.trials:
        assert [row["epoch"] for row in trial.epochs] == list(range(1, len(trial.epochs) + 1))
        assert told.events.count(("epoch", trial.number)) == len(trial.epochs)
        assert trial.value == min(row["val/cls_loss"] for row in trial.epochs)
    assert len(epochs_frame(record)) == record.epochs_trained == sum(event == "epoch" for event, _ in told.events)


def test_pruned_and_completed_trials_end_in_good_order(ended: tuple[StudyRecord, Told]) -> None:
    record, _ = ended
    assert [record.trials[number].verdict for number in (2, 3)] == [Verdict.PRUNED] * 2
    assert set(record.verdicts) == {"pruned", "completed"}
    for trial in record.trials:
        assert trial.ending is not None
        assert trial.weights.exists()
        assert {path.name for path in (trial.folder / "curves").iterdir()} >= CURVES
        if trial.verdict is Verdict.PRUNED:
            assert "rung at epoch" in trial.ending.reason
            assert len(trial.epochs) < 3
        else:
            assert len(trial.epochs) == 3
    folder = record.folder
    assert {"study.yaml", "environment.json", "best.yaml", "study.db", "trials"} <= {p.name for p in folder.iterdir()}


def test_trial_0_is_the_defaults_and_trial_1_the_given_point(ended: tuple[StudyRecord, Told]) -> None:
    first, second = ended[0].trials[:2]
    assert first.point == {"lr0": round(0.002 * 5 / 7, 6), "cls": 0.5, "batch": 6}, "batch 16 is not in the space"
    assert second.point == {"lr0": 0.0011, "cls": 0.6, "batch": 6}


def test_optuna_was_told_what_the_record_says(ended: tuple[StudyRecord, Told]) -> None:
    record, _ = ended
    told = optuna.load_study(study_name="ended", storage=f"sqlite:///{record.folder}/study.db").trials
    by_point = {json.dumps(trial.params, sort_keys=True): trial for trial in told}
    assert len(told) == len(by_point) == 5
    for trial in record.trials:
        seen = by_point[json.dumps(trial.point, sort_keys=True)]
        assert seen.state is (TrialState.PRUNED if trial.verdict is Verdict.PRUNED else TrialState.COMPLETE)
        assert seen.intermediate_values == {row["epoch"]: row["val/cls_loss"] for row in trial.epochs}
        if seen.state is TrialState.COMPLETE:
            assert seen.value == trial.value


def test_best_yaml_trains_as_it_stands(ended: tuple[StudyRecord, Told], tmp_path: Path) -> None:
    record, _ = ended
    assert record.best is not None
    written = yaml.safe_load((record.folder / "best.yaml").read_text())
    assert record.best.point.items() <= written.items()
    command = [str(Path(sys.executable).with_name("yolo")), "segment", "train", f"cfg={record.folder}/best.yaml"]
    options = [f"data={record.folder}/data/data.yaml", "epochs=1", "device=cpu", "plots=False", "exist_ok=True"]
    done = subprocess.run([*command, *options, f"save_dir={tmp_path / 'out'}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "weights" / "best.pt").exists()
    trained = yaml.safe_load((tmp_path / "out" / "args.yaml").read_text())
    assert {name: trained[name] for name in record.best.point} == record.best.point


def test_best_prints_what_a_script_can_read(ended: tuple[StudyRecord, Told]) -> None:
    record, _ = ended
    assert record.best is not None
    done = cli("best", str(record.folder), "--json")
    assert json.loads(done.stdout) == {
        "trial": record.best.number,
        "value": record.best.value,
        "point": record.best.point,
        "confirmed": None,
        "test": None,
        "warm_from": None,
    }


def test_plateaued_trials_stop_by_their_own_curve(shapes: Path, tmp_path: Path) -> None:
    plateau = {"rule": "std", "metric": "train_seg_metrics/F1", "std": 5.0, "num_results": 2, "grace_period": 2}
    record = search(shapes, tmp_path, num_samples=1, epochs=4, plateau=plateau)
    assert record.verdicts == {"plateaued": 1}
    for trial in record.trials:
        assert [row["epoch"] for row in trial.epochs] == [1, 2]
        assert trial.ending is not None and "train_seg_metrics/F1" in trial.ending.reason
        assert (trial.folder / "curves" / "results.png").exists()


def test_a_failing_trial_ends_alone_and_says_why(shapes: Path, tmp_path: Path) -> None:
    told = Told()

    def spoil(number: int, point: Any) -> None:
        """Puts a file where trial 1 wants its folder of weights."""
        if number == 1:
            (told.folder / "trials" / "0001" / "weights").touch()

    told.trial_started = spoil  # type: ignore[method-assign]
    record = search(shapes, tmp_path, told, num_samples=3, epochs=1, train={**FAST, "warmup_epochs": 0})
    assert [trial.verdict for trial in record.trials] == [Verdict.COMPLETED, Verdict.FAILED, Verdict.COMPLETED]
    failed = record.trials[1]
    assert failed.ending is not None and "weights" in failed.ending.reason
    assert "Traceback" in (failed.folder / "error.txt").read_text()


def cli(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "yolotune", *arguments], capture_output=True, text=True, timeout=120, **options
    )


SCRIPT = str(Path(__file__).parents[2] / "tune_yolo11_seg.py")


@pytest.mark.parametrize("command", [("-m", "yolotune", "run"), (SCRIPT,)])
def test_the_guides_command_reports_all_problems_and_exits_with_2(
    command: tuple[str, ...], shapes: Path, tmp_path: Path
) -> None:
    flags = ["--data", str(tmp_path / "no.yaml"), "--model", "yolo11n.yaml", "--num_samples", "3"]
    line = [sys.executable, *command, *flags, "lr0=much", "momentun=1"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 2, done.stderr
    for word in ("no.yaml", "'detect'", "lr0", "Did you mean momentum?"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists(), "nothing is created before the check has passed"
