"""What belongs to every study: its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolotune.tuner.events import Listener
from yolotune.workflows import running


class Notes(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_report_that_cannot_be_drawn_costs_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object, **more: object) -> Path:
        raise ValueError("no such colour")

    monkeypatch.setattr(running, "write_report", broken)
    listener = Notes()
    running._Page(tmp_path, listener).write(photos=True)
    (note,) = listener.notes
    assert "ValueError: no such colour" in note and f"yolotune report {tmp_path}" in note
