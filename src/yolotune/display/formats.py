"""Times, paths and command lines as they are printed."""

from __future__ import annotations

import shlex
from pathlib import Path

from yolotune.record.provenance import Origin
from yolotune.record.verdict import Verdict

#: Colours of verdicts, in rich's words; all others are red.
STYLES = {
    Verdict.COMPLETED: "green",
    Verdict.PLATEAUED: "cyan",
    Verdict.PRUNED: "yellow",
    Verdict.INTERRUPTED: "magenta",
}


def clock(seconds: float) -> str:
    """Returns a time as `1:02:03`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def short(path: Path) -> Path:
    """Returns a path relative to the current folder if it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def resume_command(folder: Path, origin: Origin | None) -> str:
    """Returns the command line that continues the study of a folder."""
    return origin.command(folder) if origin else f"yolotune resume {quoted(folder)}"


def quoted(path: Path | str) -> str:
    """Returns a path as a shell takes it, relative to the current folder if it lies below it."""
    return shlex.quote(str(short(Path(path))))
