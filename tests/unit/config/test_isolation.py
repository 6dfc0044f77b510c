"""The private settings folder: new, closed to others, shared by the processes of a study, and gone at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yolotune.config.isolation import OURS, isolate

PRINT = "from yolotune.config.isolation import isolate; print(isolate())"
TWICE = f"import subprocess, sys; {PRINT}; sys.stdout.flush(); subprocess.run([sys.executable, '-c', {PRINT!r}])"


def folders(tmp: Path, code: str = PRINT, **environment: str) -> list[Path]:
    """Returns the folders that a new process, which no other has prepared, prints."""
    inherited = {name: value for name, value in os.environ.items() if name not in (OURS, "YOLO_CONFIG_DIR")}
    given = {**inherited, "TMPDIR": str(tmp), **environment}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=given).stdout
    return [Path(line) for line in said.split()]


def test_only_its_user_can_enter_the_folder() -> None:
    assert isolate().parent.stat().st_mode & 0o777 == 0o700
    assert isolate() == isolate()


def test_two_studies_have_two_folders_and_leave_none(tmp_path: Path) -> None:
    assert folders(tmp_path) != folders(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_process_that_a_study_starts_shares_its_folder(tmp_path: Path) -> None:
    first, second = folders(tmp_path, TWICE)
    assert first == second and first.is_relative_to(tmp_path)


@pytest.mark.parametrize("trap", ["a link", "open to others"])
def test_a_folder_that_is_not_private_is_not_used(trap: str, tmp_path: Path) -> None:
    planted, target = tmp_path / "planted", tmp_path / "target"
    (target / "Ultralytics").mkdir(parents=True)
    settings = target / "Ultralytics" / "settings.json"
    settings.write_text("{}")
    target.chmod(0o700)
    if trap == "a link":
        planted.symlink_to(target)
    else:
        target.chmod(0o755)
        target.rename(planted)
        settings = planted / "Ultralytics" / "settings.json"
    (used,) = folders(tmp_path, **{OURS: str(planted), "YOLO_CONFIG_DIR": str(planted)})
    assert not used.is_relative_to(planted)
    assert settings.read_text() == "{}"
