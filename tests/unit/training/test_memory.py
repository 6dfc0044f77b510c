"""What glibc does with memory that is freed, seen from the page faults of a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from yolotune.training.memory import _has_glibc

#: Allocates forty blocks of up to 6 MB in a thread and frees them all, again and again, as a training its activations.
FAULTS = """
import resource, sys, threading
import numpy as np
from yolotune.training.memory import free_memory, keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    [np.ones(20_000 * (1 + number)) for number in range(40)]

def steps():
    for _ in range(3):
        step()
    before = faults()
    for _ in range(20):
        step()
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
    assert faults("glibc") > 1000, "then the options are of no use any more"
