"""How many trials trained at the same time, and from when on: `slots.jsonl`."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: In the folder of a study: a line for each change.
SLOTS = "slots.jsonl"


@dataclass(frozen=True)
class OpenSlots:
    """A line of the file.

    Attributes:
        at: When, in ISO 8601.
        open: Trials at the same time from then on.
        why: In words.
    """

    at: str
    open: int
    why: str


def read_slots(folder: Path) -> list[OpenSlots]:
    """Returns what is recorded, in order; a line that cannot be read is passed over, for nothing depends on it."""
    found = []
    with suppress(OSError):
        for line in (folder / SLOTS).read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                found.append(OpenSlots(str(row["at"]), int(row["open"]), str(row["why"])))
    return found
