"""Halving through the real engine: pauses, resumes and cuts are those that the arithmetic foretells, come what may."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from processes import epochs_of, finish, start, trial_process, wait_for, write_study
from yolotune.halving import SuccessiveHalving
from yolotune.record import StudyRecord, TrialRecord, Verdict, read_study
from yolotune.study import load_study

SETTINGS: dict[str, Any] = {
    "epochs": 12,
    "num_samples": 18,
    "concurrent": 2,
    "space": {"lr0": "loguniform(1e-4, 1e-1)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "warmup_bias_lr": 0.0},
    "scheduler": "halving",
    "asha": {"grace_period": 1, "reduction_factor": 3, "batch": 9},
    "search": "random",
    "plateau": None,
    "wandb": "disabled",
}
#: Rungs at epochs 1, 3 and 9: of 9 trials 6 are cut at the first, 2 at the second, and the last one trains to the end.
EPOCHS = {1: 12, 3: 4, 12: 2}


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """A study that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(start(folder, "run", write_study(folder, shapes, **SETTINGS), stand_in=True))
    return read_study(folder / "study")


def decided(record: StudyRecord) -> list[Any]:
    """All that a study has found: points, epoch reports, verdicts with their reasons."""
    return [(trial.number, trial.point, trial.epochs, trial.ending, trial.value) for trial in record.trials]


def log(trial: TrialRecord) -> list[str]:
    return (trial.folder / "train.log").read_text().splitlines()


def began(trial: TrialRecord) -> list[int]:
    """Returns the epochs from which processes trained a trial."""
    return [int(line.split()[4]) for line in log(trial) if line.startswith("process")]


def test_a_study_trains_exactly_what_the_arithmetic_foretells(undisturbed: StudyRecord) -> None:
    lengths = [len(trial.epochs) for trial in undisturbed.trials]
    assert {length: lengths.count(length) for length in lengths} == EPOCHS
    rules = SuccessiveHalving(load_study(undisturbed.folder, {}))
    rules.rebuild(undisturbed.trials)
    for batch in (0, 1):
        kept = [meeting.kept for meeting in rules.meetings(batch)]
        assert [len(numbers) for numbers in kept] == [3, 1, 1]
        for trial in undisturbed.trials[9 * batch : 9 * batch + 9]:
            wanted = 12 if trial.number in kept[1] else 3 if trial.number in kept[0] else 1
            assert [row["epoch"] for row in trial.epochs] == list(range(1, wanted + 1))
            assert trial.verdict is (Verdict.COMPLETED if wanted == 12 else Verdict.PRUNED)
            assert trial.ending is not None
            if trial.verdict is Verdict.PRUNED:
                assert trial.ending.reason == rules.reason(trial.number)


def test_no_epoch_is_trained_twice_and_every_trial_ends_in_good_order(undisturbed: StudyRecord) -> None:
    resumed = 0
    for trial in undisturbed.trials:
        starts = began(trial)
        assert starts[0] == 1 and set(starts[1:]) <= {2, 4}, "it goes on where it paused"
        assert len(set(starts)) == len(starts)
        resumed += len(starts) > 1
        assert {path.name for path in (trial.folder / "weights").iterdir()} == {"best.pt"}
        assert (trial.folder / "ended.yaml").exists()
        finished = [line for line in log(trial) if line.startswith("finish")]
        assert finished in ([], [f"finish {len(trial.epochs)}"])
    assert resumed >= 2
