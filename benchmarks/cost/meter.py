"""What a command costs together with every process it starts: wall and CPU seconds, memory, bytes. Linux only.

Processes whose parent dies become children of this one (a subreaper), so none gets out of sight. CPU seconds and bytes
are the kernel's own account of all children that were waited for, and beside it the last seen account of those that
nobody waits for because their parent ignores SIGCHLD, as Ray's raylet does. What such a process spent between the
last look and its end, a fraction of `LOOK_S`, is missed: the figures are lower bounds, by less than one per cent here.

Memory is the sum of the proportional set sizes (PSS), which count a shared page once; its peak is looked for once a
second. Bytes are those of read and write calls, pipes and cached files included; pages of mapped files are not.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Seconds between two looks at the processes, and between two at their memory.
LOOK_S, MEMORY_S = 0.2, 1.0
#: Seconds that are given to processes which outlive the command.
LEAVE_S = 30.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
_SIGCHLD = 1 << 16


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
        wall: Seconds from start to end of the command itself.
        cpu: Seconds of user and system time of all its processes.
        memory: Largest sum of PSS, in bytes.
        read: Bytes of all read calls.
        written: Bytes of all write calls.
        disk: Of these, bytes that were sent to the disk.
        code: Exit code.
    """

    wall: float
    cpu: float
    memory: int
    read: int
    written: int
    disk: int
    code: int


def measure(command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> Cost:
    """Runs a command to its end and returns what it cost; what it says goes to a file."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    cpu, before = _reaped_cpu(), _bytes_of(os.getpid())
    with log.open("w") as said, _watched() as watch:
        began = time.monotonic()
        code = subprocess.call(command, stdout=said, stderr=said, env=dict(environment), cwd=folder)
        wall = time.monotonic() - began
        waited_for = _wait_for_the_rest()
    own = sum(watch.own)  # of the watcher itself, which is no part of the command
    after = _bytes_of(os.getpid())
    # who outlives a parent that ignores SIGCHLD becomes a child of this process, and is in the kernel's account
    unseen = [account for (pid, _), account in watch.unwaited.items() if pid not in waited_for]
    counts = [after[i] - before[i] + sum(account[1][i] for account in unseen) for i in range(3)]
    spent = _reaped_cpu() - cpu + sum(account[0] for account in unseen)
    return Cost(wall, spent, watch.peak, counts[0] - own, counts[1], counts[2], code)


class _Watch:
    """Looks at all descendants until it is told to stop."""

    def __init__(self) -> None:
        self.peak = 0
        self.own: list[int] = []
        self.unwaited: dict[tuple[int, float], tuple[float, tuple[int, int, int]]] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        me = psutil.Process()
        memory_at = 0.0
        while not self._done.wait(LOOK_S):
            before = _read_by_thread()
            children = me.children(recursive=True)
            for child in children:
                self._account(child)
            if time.monotonic() - memory_at >= MEMORY_S:
                memory_at = time.monotonic()
                self.peak = max(self.peak, sum(_pss(child.pid) for child in children))
            self.own.append(_read_by_thread() - before)

    def _account(self, child: psutil.Process) -> None:
        """Notes what a child has spent, with its own children, if nobody will wait for it."""
        try:
            if _ignores_children(child.ppid()):
                times = child.cpu_times()
                spent = times.user + times.system + times.children_user + times.children_system
                self.unwaited[child.pid, child.create_time()] = (spent, _bytes_of(child.pid))
        except (psutil.Error, OSError):
            pass  # it has just ended


@contextmanager
def _watched() -> Iterator[_Watch]:
    watch = _Watch()
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def _wait_for_the_rest() -> set[int]:
    """Waits for what outlives the command, kills what stays, and returns all; they are our descendants."""
    deadline = time.monotonic() + LEAVE_S
    waited_for = set()
    while True:
        try:
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                waited_for.add(pid)
        except ChildProcessError:
            return waited_for
        if time.monotonic() > deadline:
            for child in psutil.Process().children(recursive=True):
                child.kill()
        time.sleep(0.05)


def _reaped_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read_by_thread() -> int:
    """Returns the bytes that the calling thread has read so far."""
    return int(_fields(Path(f"/proc/self/task/{threading.get_native_id()}/io"))["rchar"])


def _bytes_of(pid: int) -> tuple[int, int, int]:
    """Returns the bytes read, written and sent to the disk by a process and by its children that were waited for."""
    found = _fields(Path(f"/proc/{pid}/io"))
    return int(found["rchar"]), int(found["wchar"]), int(found["write_bytes"])


def _ignores_children(pid: int) -> bool:
    return bool(int(_fields(Path(f"/proc/{pid}/status"))["SigIgn"], 16) & _SIGCHLD)


def _pss(pid: int) -> int:
    try:
        return int(_fields(Path(f"/proc/{pid}/smaps_rollup"))["Pss"].split()[0]) * 1024
    except (OSError, KeyError):
        return 0  # it has just ended


def _fields(path: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {name: value.strip() for name, _, value in pairs}
