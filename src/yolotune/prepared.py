"""A process that loads what it needs before it is asked for anything, so that it answers at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class PreparedProcess:
    """Runs a module that loads its libraries, then reads the path of one request from standard input, and ends.

    It ends with this process, whatever becomes of that: what it waits for is the end of its standard input.

    Args:
        module: Name of the module. It writes its answer where the request says.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: Path, seconds: float | None = None) -> str:
        """Has a request answered, and returns why it was not; nothing where it was.

        Args:
            request: The file that says what is asked for.
            seconds: After which it is given up; None waits as long as it takes.
        """
        try:
            _, said = self._process.communicate(str(request), timeout=seconds)
        except (OSError, subprocess.TimeoutExpired) as error:
            self.close()
            return str(error)
        if not self._process.returncode:
            return ""
        return (said.strip().splitlines() or [f"exit code {self._process.returncode}"])[-1]

    def close(self) -> None:
        """Ends the process if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
