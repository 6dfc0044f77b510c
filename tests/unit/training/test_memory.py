"""What glibc does with memory that is freed, seen from the page faults of a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from yolotune.training.memory import _has_glibc

#: Allocates and frees a block of 8 MB, 2048 pages, again and again in a thread, as a training does its activations.
FAULTS = """
import resource, sys, threading
import numpy as np
from yolotune.training.memory import free_memory, keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def steps():
    for _ in range(3):
        np.ones(2**20), np.ones(2**19)
    before = faults()
    for _ in range(20):
        np.ones(2**20), np.ones(2**19)
    print((faults() - before) // 20)

if sys.argv[1] == "kept":
    keep_freed_memory()
thread = threading.Thread(target=steps)
thread.start()
thread.join()
"""


def faults(way: str) -> int:
    command = [sys.executable, "-c", FAULTS, way]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not _has_glibc(), reason="of glibc's allocator")
def test_what_a_step_frees_is_kept_for_the_next() -> None:
    assert faults("kept") < 100
    assert faults("glibc") > 500, "then the options are of no use any more"
