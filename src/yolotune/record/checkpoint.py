"""Which of a trial's checkpoints counts, and which trials keep theirs.

The one that counts is the last one whose epoch report is in the record. Ultralytics saves last.pt and best.pt before
anybody knows of the epoch. A trial that is killed in between would continue from an epoch that the record never saw, or
with a best.pt that belongs to no report. So an epoch is saved below `weights/pending/`, and moves up once the driver
has recorded its report; after a crash, `settle` decides by the record.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from yolotune.record.study import trial_folder

NAMES = ("best.pt", "last.pt")
#: What last.pt leaves out, where a training was left to continue another time (`training/resume_state.py`).
STATE = "state.pt"


def pending(weights: Path) -> Path:
    """Returns the folder of the epoch that is not in the record yet."""
    return weights / "pending"


def mark(weights: Path, epoch: int) -> None:
    """Says that the pending files of an epoch are complete."""
    (pending(weights) / "epoch").write_text(str(epoch))


def commit(weights: Path) -> None:
    """Moves the pending files of a recorded epoch up; may be interrupted and repeated."""
    if (pending(weights) / "epoch").exists():
        (weights / STATE).unlink(missing_ok=True)  # of an epoch before
    for name in (*NAMES, "epoch"):
        if (pending(weights) / name).exists():
            os.replace(pending(weights) / name, weights / name)


def settle(weights: Path, recorded: int) -> Path | None:
    """Leaves a trial's weights as the record knows them, and returns the last.pt to continue from, if there is one.

    A last.pt of another epoch than the last recorded one (files were restored, or epochs lost) is not continued from.

    Args:
        weights: Folder of the trial's weights.
        recorded: Number of the last recorded epoch; 0 for none.
    """
    if recorded and _epoch_of(pending(weights)) == recorded:
        commit(weights)
    shutil.rmtree(pending(weights), ignore_errors=True)
    if not recorded:
        shutil.rmtree(weights, ignore_errors=True)
    last = weights / "last.pt"
    return last if last.exists() and _epoch_of(weights) == recorded else None


def close(weights: Path, recorded: int, *, keep_last: bool = False) -> None:
    """Leaves best.pt alone, unless last.pt is wanted for itself: nothing resumes a training that has ended."""
    settle(weights, recorded)
    for name in ("epoch", STATE) if keep_last else ("last.pt", "epoch", STATE):
        (weights / name).unlink(missing_ok=True)


def _epoch_of(folder: Path) -> int | None:
    """Returns the epoch that the checkpoints of a folder belong to."""
    marker = folder / "epoch"
    text = marker.read_text().strip() if marker.exists() else ""
    return int(text) if text.isdecimal() else None


def drop_weights(folder: Path, values: Mapping[int, float | None], mode: str, count: int | None) -> list[int]:
    """Removes best.pt of ended trials that are not among the best, and returns their numbers.

    Trial 0 keeps its own: the report compares the best with it. A trial that has not left its training yet is passed
    over; it is looked at again when the next one ends.

    Args:
        folder: The study's folder.
        values: Value of each ended trial, None where it has none.
        mode: `max` or `min`.
        count: How many trials keep their weights (`Study.weights_kept`), None for all.
    """
    if count is None:
        return []
    sign = 1 if mode == "max" else -1
    ranked = sorted((-sign * value, number) for number, value in values.items() if value is not None)
    kept = {0, *(number for _, number in ranked[:count])}
    dropped = []
    for number in values.keys() - kept:
        trial = trial_folder(folder, number)
        if (trial / "ended.yaml").exists() and (trial / "weights" / "best.pt").exists():
            (trial / "weights" / "best.pt").unlink()
            dropped.append(number)
    return sorted(dropped)
