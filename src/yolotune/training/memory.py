"""Memory of a process between two of its trainings."""

from __future__ import annotations

import ctypes
import functools
import gc
import platform
import sys

import psutil

#: Of glibc's `mallopt` (malloc.h): blocks from this size on are mapped one by one, 32 MiB at most; free bytes at the
#: end of a heap that are kept; bytes by which a heap grows.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD = -3, -1, -2
#: A process is renewed when it holds so many times what it held after its second training.
GROWTH = 1.1


class MemoryWatch:
    """Compares what a process holds between its trainings with what it held after the second one."""

    def __init__(self) -> None:
        self._trainings = 0
        self._first: dict[str, int] = {}

    def excess(self) -> str | None:
        """Returns what has grown by more than a tenth; None if nothing has. Called after each training."""
        self._trainings += 1
        held = {"memory": psutil.Process().memory_info().rss, "memory of the card": _reserved_on_card()}
        if self._trainings <= 2:
            self._first = held
        grown = [name for name, size in held.items() if size > GROWTH * self._first[name] > 0]
        return f"its {grown[0]} has grown to {held[grown[0]] / 2**20:.0f} MB" if grown else None


@functools.cache
def freeze_libraries() -> None:
    """Leaves what is loaded by now out of all collections to come: a training saves half a second of its 20.

    Called once in a process, after its imports and before its first training.
    """
    gc.collect()
    gc.freeze()


@functools.cache
def keep_freed_memory() -> None:
    """Has glibc keep what a step of a training frees for the next step, until `free_memory` is called.

    By itself it returns large blocks to the system at once, which then maps and zeroes them anew, thousands of pages in
    every step: 4 to 6 % of a step on a CPU at 96 to 320 px (`benchmarks.cost.allocator`). Called once in a process.
    """
    if _has_glibc():
        for option, value in ((M_MMAP_THRESHOLD, 32 * 2**20), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 * 2**20)):
            ctypes.CDLL(None).mallopt(option, value)


def free_memory() -> None:
    """Gives back what the training before held, to the system and to the card."""
    gc.collect()  # a training leaves cycles, with its images and its model in them
    if _has_glibc():  # which keeps what was freed for a larger batch: 100 to 300 MB were measured
        ctypes.CDLL(None).malloc_trim(0)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _has_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"


def _reserved_on_card() -> int:
    torch = sys.modules.get("torch")
    return int(torch.cuda.memory_reserved()) if torch is not None and torch.cuda.is_initialized() else 0
