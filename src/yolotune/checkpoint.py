"""Which of a trial's checkpoints counts: the last one whose epoch report is in the record.

Ultralytics saves last.pt and best.pt before anybody knows of the epoch. A trial that is killed in between would go on
from an epoch that the record never saw, or with a best.pt that belongs to no report. So an epoch is saved below
`weights/pending/`, and moves up once the driver has recorded its report; after a crash, `settle` decides by the record.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAMES = ("best.pt", "last.pt")


def pending(weights: Path) -> Path:
    """Returns the folder of the epoch that is not in the record yet."""
    return weights / "pending"


def mark(weights: Path, epoch: int) -> None:
    """Says that the pending files of an epoch are complete."""
    (pending(weights) / "epoch").write_text(str(epoch))


def commit(weights: Path) -> None:
    """Moves the pending files of a recorded epoch up; may be interrupted and repeated."""
    for name in NAMES:
        if (pending(weights) / name).exists():
            os.replace(pending(weights) / name, weights / name)
    (pending(weights) / "epoch").unlink(missing_ok=True)


def settle(weights: Path, recorded: int) -> Path | None:
    """Leaves a trial's weights as the record knows them, and returns the last.pt to go on from, if there is one.

    Args:
        weights: Folder of the trial's weights.
        recorded: Number of the last recorded epoch; 0 for none.
    """
    marker = pending(weights) / "epoch"
    if recorded and marker.exists() and marker.read_text().strip() == str(recorded):
        commit(weights)
    shutil.rmtree(pending(weights), ignore_errors=True)
    if not recorded:
        shutil.rmtree(weights, ignore_errors=True)
    last = weights / "last.pt"
    return last if last.exists() else None
