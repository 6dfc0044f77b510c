"""Which trials keep their weights (`--keep-weights`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yolotune.record.study import trial_folder


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
