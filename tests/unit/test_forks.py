"""Copies of a process: what they know, how they fail, and that nothing of them remains."""

from __future__ import annotations

import errno
import os
import random
import signal
import time

import psutil
import pytest

from yolotune import forks

pytestmark = pytest.mark.skipif(not forks.available, reason="Linux alone")


def test_a_copy_knows_what_the_process_knew_and_draws_what_it_would_draw() -> None:
    random.seed(3)
    known = {"value": 1}
    aside = forks.Aside(lambda: (known["value"], random.random()))
    known["value"] = 2
    assert aside.result(10) == (1, random.random())


def test_what_a_copy_fails_with_is_raised_with_its_traceback() -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "last.pt")

    with pytest.raises(OSError, match=r"last\.pt") as raised:
        forks.Aside(full).result(10)
    assert raised.value.errno == errno.ENOSPC
    assert "in full" in raised.value.__notes__[0]


def test_an_error_that_cannot_be_sent_is_told_in_words() -> None:
    class Local(Exception):
        pass

    def fail() -> None:
        raise Local("no space for this")

    with pytest.raises(RuntimeError, match="Local: no space for this"):
        forks.Aside(fail).result(10)


def test_a_copy_that_is_killed_or_says_nothing_is_dead() -> None:
    for work in (lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: time.sleep(60)):
        aside = forks.Aside(work)
        with pytest.raises(forks.CopyKilled):
            aside.result(0.5)
    assert psutil.Process().children() == [], "not even zombies"


def test_a_copy_does_not_outlive_its_process() -> None:
    ours, theirs = os.pipe()
    parent = os.fork()
    if parent == 0:
        forks.Aside(lambda: (os.write(theirs, str(os.getpid()).encode()), time.sleep(60)))
        time.sleep(60)
    copy = psutil.Process(int(os.read(ours, 20)))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    gone, _ = psutil.wait_procs([copy], timeout=10)
    assert gone
