"""How an error ends a trial."""

from __future__ import annotations

import errno

from yolotune.record.verdict import Ending, Verdict

#: What PyTorch and the libraries below it say when memory has run out, in lower case: the card's, then the machine's.
#: cuDNN finds no engine when none gets its workspace (`GET was unable to find an engine to execute this computation`).
OUT_OF_MEMORY = (
    "out of memory",
    "unable to find an engine",
    "unable to find a valid cudnn algorithm",
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",  # of a handle that gets no memory
    "cudnn_status_alloc_failed",
    "cudnn_status_internal_error",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
)
#: What is said where a process can use its card no more, whatever is tried.
CARD_LOST = ("cuda error", "cuda driver error", "cudnn_status_execution_failed", "nccl error")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says, in whatever words, that there was not enough memory."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in OUT_OF_MEMORY)


def is_card_lost(error: BaseException) -> bool:
    """Whether an error leaves the process without its card: what CUDA refuses once, it refuses from then on."""
    said = str(error).lower()
    return not is_out_of_memory(error) and any(words in said for words in CARD_LOST)


def ending_of(error: Exception) -> Ending:
    """Returns the verdict on an error.

    One that says it ran out of memory would do so again with the same point. A full disk is no fault of the point: the
    trial continues once there is space.
    """
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if is_out_of_memory(error):
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
