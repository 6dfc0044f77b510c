"""How an error ends a trial."""

from __future__ import annotations

import errno

from yolotune.record.verdict import Ending, Verdict


def ending_of(error: Exception) -> Ending:
    """Returns the verdict on an error.

    One that says it ran out of memory would do so again with the same point. A full disk is no fault of the point: the
    trial continues once there is space.
    """
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "out of memory" in str(error).lower():
        return Ending(Verdict.OOM, first)
    if _is_disk_full(error):
        return Ending(Verdict.INTERRUPTED, f"no space left on the disk: {first}")
    return Ending(Verdict.FAILED, f"{type(error).__name__}: {first}")


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a full disk; torch hides the cause in words of its own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "PytorchStreamWriter failed" in str(error) or "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
