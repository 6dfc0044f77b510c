"""A terminal for tests: a pseudo-terminal with a command in its foreground, and the screen a user would see."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyte


class Terminal:
    """Runs `yolotune` in the foreground of a terminal of its own.

    Attributes:
        written: All that the terminal was sent.
        process: The command.
    """

    def __init__(self, folder: Path, *arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.written = b""
        self._screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=1.0)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._master, slave = pty.openpty()
        self._set_size(columns, rows)
        unset = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CI"}
        inherited = {name: value for name, value in os.environ.items() if name not in unset}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "yolotune", *arguments],
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**inherited, "TERM": "xterm-256color", **environment},
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # how the end of the last process on the other side shows
            while data := os.read(self._master, 65536):
                with self._lock:
                    self.written += data
                    self._stream.feed(data)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        with self._lock:
            self._screen.resize(rows, columns)
        self._set_size(columns, rows)

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    @property
    def screen(self) -> str:
        """What is seen now."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def scrolled(self) -> str:
        """What has scrolled off the top."""
        with self._lock:
            lines = list(self._screen.history.top)
        return "\n".join("".join(line[x].data for x in range(max(line, default=-1) + 1)).rstrip() for line in lines)

    @property
    def cursor_hidden(self) -> bool:
        with self._lock:
            return bool(self._screen.cursor.hidden)

    def wait_for(self, condition: Callable[[str], Any], seconds: float = 120) -> Any:
        """Polls until a condition of the screen holds, and returns what it found."""
        deadline = time.monotonic() + seconds
        while not (found := condition(self.screen)):
            assert time.monotonic() < deadline, f"waited in vain; the screen:\n{self.screen}"
            assert self.process.poll() is None or condition(self.screen), f"ended; the screen:\n{self.screen}"
            time.sleep(0.05)
        return found

    def end(self, seconds: float = 120) -> int:
        """Waits for the command to end and returns its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code
