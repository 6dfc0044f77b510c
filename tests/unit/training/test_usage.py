"""What a training takes of its machine: real processes."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from processes import wait_for
from yolotune.training.usage import Meter

BUSY = "import os, sys; os.nice(int(sys.argv[1])); print(flush=True)\nwhile True: pass"
HELD = "import sys; held = b'x' * 200_000_000; print(flush=True); sys.stdin.read()"


def child(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a child of this process, and returns when it is at work."""
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize(("niceness", "counts"), [("0", True), ("5", False)])
def test_cores_are_those_of_the_process_and_of_children_that_are_no_background_work(
    niceness: str, counts: bool
) -> None:
    busy = child(BUSY, niceness)
    try:
        meter = Meter()
        time.sleep(0.5)
        usage = meter.epoch(0.5)
    finally:
        busy.kill()
        busy.communicate()
    assert (usage.cores > 0.2) is counts
    assert usage.seconds == 0.5 and not usage.steady and usage.card is None and usage.available > 0


def test_memory_is_that_of_all_children_and_goes_with_them() -> None:
    before = Meter().epoch(1.0).memory
    holds = child(HELD)
    meter = Meter()
    assert meter.epoch(1.0).memory > before + 190_000_000
    holds.communicate()
    wait_for(lambda: meter.epoch(1.0).memory < before + 100_000_000)
    assert meter.epoch(1.0).steady
