"""Records of unit tests need not survive a power cut."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes without waiting for the disk, which takes most of the time of a made study."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
