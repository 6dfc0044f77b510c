"""Why a trial ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Why a trial ended, in one word."""

    COMPLETED = "completed"  # all its epochs
    PRUNED = "pruned"  # a scheduler: worse than others at a rung
    PLATEAUED = "plateaued"  # converged
    DIVERGED = "diverged"  # NaN or Inf
    OOM = "oom"  # out of memory
    FAILED = "failed"  # an error
    INTERRUPTED = "interrupted"  # the study was stopped; it continues when the study is resumed


#: In `ended.yaml` in place of a verdict: the trial waits for others, and no process trains it.
PAUSED = "paused"
#: The trial's value stands, and the search may learn from it.
FINISHED = frozenset({Verdict.COMPLETED, Verdict.PLATEAUED, Verdict.PRUNED})


@dataclass(frozen=True)
class Ending:
    """A verdict and its reason in words. It is made once and handed on as it is."""

    verdict: Verdict
    reason: str
