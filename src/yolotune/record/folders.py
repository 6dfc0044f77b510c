"""Where studies are kept: `runs/tune/[project/]name`, or below `storage`."""

from __future__ import annotations

from pathlib import Path

from yolotune.config.settings import Settings


def wanted_folder(settings: Settings) -> Path:
    """Returns the folder that the settings name, taken or not."""
    return (Path(settings.storage or "runs/tune") / (settings.project or "")).resolve() / settings.name


def new_folder(settings: Settings) -> Path:
    """Returns where a new study would be kept: the wanted folder, or the next free `name-2`, `name-3`."""
    path = wanted = wanted_folder(settings)
    taken = 1
    while path.exists() and not settings.exist_ok:
        taken += 1
        path = wanted.with_name(f"{wanted.name}-{taken}")
    return path
