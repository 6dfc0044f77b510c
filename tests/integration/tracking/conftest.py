"""A W&B of nobody, and a server of our own that misbehaves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wandb_process import Server
from wandb_runs import KEY, tracker_of
from yolotune.tracking import WandbTracker, wandb_client, wandb_preflight


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing of the user's W&B, and a wandb that has not read another test's variables."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


@pytest.fixture
def tracker(tmp_path: Path) -> WandbTracker:
    return tracker_of(tmp_path / "study")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Server]]:
    """Starts a server that behaves as told, and makes it the user's, with a key."""
    servers: list[Server] = []

    def start(behaviour: str) -> Server:
        servers.append(Server(behaviour))
        monkeypatch.setenv("WANDB_BASE_URL", servers[-1].url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second each for a server's answer, to open a run and to upload it, in place of what users wait for."""
    assert wandb_preflight.ANSWER_S == 5.0
    assert (wandb_client.INIT_S, wandb_client.UPLOAD_S, wandb_client.FINISH_S) == (8.0, 40.0, 60.0)
    monkeypatch.setattr(wandb_preflight, "ANSWER_S", 1.0)
    monkeypatch.setattr(wandb_client, "INIT_S", 1.0)
    monkeypatch.setattr(wandb_client, "UPLOAD_S", 1.0)
