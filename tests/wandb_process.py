"""Starts `wandb_server.py` as a process of its own, and asks it what it got."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any


class Server:
    """A server process, and what it tells."""

    def __init__(self, behaviour: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("wandb_server.py")), behaviour]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            return dict(json.load(response))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
