"""Copies of a process that trains, for what can be done beside it. Linux alone, and not beside CUDA.

A copy has the weights, the images and the random numbers of the moment, without a byte being sent; memory pages are
shared until one of both writes to them. It must not use what other threads of the process may have been using, for
these threads are not in it: W&B, Ray, polars, more than one OpenMP thread.

A copy lives no longer than the thread that made it (`PR_SET_PDEATHSIG`): whoever goes on with a trial whose process was
killed has its folder alone.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import random
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

_PDEATHSIG = 1  # linux/prctl.h
#: What copies add to their niceness: the training itself goes first.
NICE = 5

available = sys.platform == "linux"


class CopyKilled(RuntimeError):
    """A copy of a training was killed before it had done its work."""


def fork() -> tuple[int, Connection]:
    """Copies this process, from a thread that will not end before the copy does.

    Returns:
        The number of the copy, in which it is 0, and a line to the other one.
    """
    parent, (ours, theirs) = os.getpid(), Pipe()
    state = random.getstate()  # Python seeds its generator anew in a copy
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    ours.close()
    random.setstate(state)
    os.nice(NICE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the study tells the process, not its copies
    return 0, theirs


def leave(line: Connection, said: object) -> NoReturn:
    """Ends a copy with its last word; an exception is raised by whoever takes it (`take`)."""
    if isinstance(said, BaseException):
        said.add_note("".join(traceback.format_exception(said)))
        try:
            pickle.loads(pickle.dumps(said))
        except Exception:
            said = RuntimeError(f"{type(said).__name__}: {said}")
    with suppress(CopyKilled):
        send(line, said)
    os._exit(0)


def send(line: Connection, what: object) -> None:
    """Says something to a copy, or in one; tensors by value, which a `Connection` would share through files.

    Raises:
        CopyKilled: Nobody is there to hear it.
    """
    try:
        line.send_bytes(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))
    except ConnectionError:
        raise CopyKilled("a copy of the training was killed") from None


def take(line: Connection, seconds: float | None = None) -> Any:
    """Returns what a copy says next, or in a copy, what it is told.

    Args:
        line: To the copy.
        seconds: How long it may say nothing; None for ever.

    Raises:
        CopyKilled: It says nothing more, or not in time.
        BaseException: What the copy failed with.
    """
    try:
        if seconds is not None and not line.poll(seconds):
            raise CopyKilled(f"a copy of the training said nothing for {seconds:.0f} s")
        said = pickle.loads(line.recv_bytes())
    except (EOFError, ConnectionError):
        raise CopyKilled("a copy of the training was killed") from None
    if isinstance(said, BaseException):
        raise said
    return said


def end(pid: int) -> None:
    """Ends a copy that has said its last word, or that nobody waits for any more; nothing of it remains."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # whoever ignores SIGCHLD has no status to take
        os.waitpid(pid, 0)


class Aside:
    """Work that is done in a copy while the process goes on."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._pid, self._line = fork()
        if self._pid == 0:
            try:
                said = work()
            except BaseException as error:
                said = error
            leave(self._line, said)

    def result(self, seconds: float) -> Any:
        """Waits for the work, not for ever, and returns its result or raises what it failed with; called once."""
        try:
            return take(self._line, seconds)
        finally:
            self._line.close()
            end(self._pid)
