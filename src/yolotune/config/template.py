"""The study file that `yolotune init` writes: every setting with what it means, then the preset with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolotune._yaml import dump_yaml, write_atomic
from yolotune.config.layers import PRESETS, make_settings, preset_text
from yolotune.config.settings import Settings
from yolotune.errors import fail

#: Settings that a preset's own text gives, with its reasons; the other ones stand above them, a line each.
SECTIONS = ("space", "train", "points", "scheduler", "plateau")


def write_study_file(settings: Settings, path: Path) -> None:
    """Writes a commented study file.

    Args:
        settings: What the file is to say.
        path: The file; it must not exist.

    Raises:
        UserError: The file exists, or cannot be written.
    """
    if path.exists():
        raise fail(str(path), "exists already.", "give another --output, or remove it.")
    try:
        write_atomic(path, study_file(settings).encode())
    except OSError as error:
        raise fail(str(path), f"cannot be written: {error.strerror}.", "give another --output.") from error


def study_file(settings: Settings) -> str:
    """Returns the text of a commented study file; read back, it gives equal settings."""
    lines = ["# A yolotune study. Check it: yolotune check FILE. Run it: yolotune run FILE"]
    for name, field in Settings.model_fields.items():
        if name not in SECTIONS:
            value = getattr(settings, name)
            written = f"{name}:" if value is None else dump_yaml({name: value}).strip()
            lines.append(f"{written:<32} # {field.description}")
    changed = list(SECTIONS)
    if settings.preset in PRESETS:
        default = make_settings(data=settings.data, preset=settings.preset)
        changed = [name for name in SECTIONS if getattr(settings, name) != getattr(default, name)]
        lines += ["", _sections(settings.preset, [name for name in SECTIONS if name not in changed])]
    values = settings.model_dump(mode="json")
    # numbers that are left to the effort are left out
    values["scheduler"] = {name: value for name, value in values["scheduler"].items() if value is not None}
    lines += [f"\n{dump_yaml({name: values[name]}).rstrip()}" for name in changed]
    return "\n".join(lines) + "\n"


def _sections(preset: str, names: Sequence[str]) -> str:
    """Returns the named top-level sections of a preset as written, comments and all."""
    kept: list[str] = []
    keep = False
    for line in preset_text(preset).splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            keep = line.partition(":")[0] in names
        if keep:
            kept.append(line)
    return "\n".join(kept).rstrip()
