"""The study file that `yolotune init` writes: every setting with what it means, then the preset with its reasons."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import yaml

from yolotune._yaml import write_atomic
from yolotune.config.layers import PRESETS
from yolotune.config.settings import Settings
from yolotune.errors import fail

#: Settings that the file begins with; the preset's own text gives space, train, points, asha and plateau.
HEAD = (
    "data", "model", "project", "name", "epochs", "imgsz", "effort", "budget", "num_samples", "concurrent", "gpus",
    "cpus", "device", "objective", "warm_start", "top", "search", "scheduler", "seed", "wandb",
    "max_failures",
)  # fmt: skip
FROM_PRESET = ("space", "train", "points", "asha", "plateau")


def write_study_file(study: Settings, path: Path) -> None:
    """Writes a commented study file.

    Args:
        study: What the flags said.
        path: The file; it must not exist.

    Raises:
        UserError: The file exists.
    """
    if path.exists():
        raise fail(str(path), "exists already.", "give another --output, or remove it.")
    write_atomic(path, study_file(study).encode())


def study_file(study: Settings) -> str:
    """Returns the text of a commented study file that says the same as `study`."""
    lines = ["# A yolotune study. Check it: yolotune check FILE. Run it: yolotune run FILE", f"preset: {study.preset}"]
    names = ("data", "preset", "epochs", "effort", "budget", "search", "space")
    default = Settings(**{name: getattr(study, name) for name in names})
    for name in HEAD:
        meaning = Settings.model_fields[name].description
        written = _written(name, getattr(study, name))
        if name == "num_samples" and study.num_samples == default.num_samples:
            written = f"# {written}"  # chosen by effort or budget, and chosen anew where these are edited
        lines.append(f"{written:<40} # {meaning}")
    if study.preset in PRESETS:
        default = Settings(data=study.data, preset=study.preset, epochs=study.epochs, effort=study.effort)
        changed = [name for name in FROM_PRESET if getattr(study, name) != getattr(default, name)]
        lines += ["", _sections(study.preset, [name for name in FROM_PRESET if name not in changed])]
    else:
        changed = list(FROM_PRESET)
    for name in changed:
        value = study.model_dump(mode="json")[name]
        lines += ["", yaml.safe_dump({name: value}, sort_keys=False).rstrip()]
    return "\n".join(lines) + "\n"


def _sections(preset: str, names: list[str]) -> str:
    """Returns the named top-level sections of a preset as written, comments and all."""
    text = (resources.files("yolotune.config") / "presets" / f"{preset}.yaml").read_text(encoding="utf-8")
    kept: list[str] = []
    keep = False
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            keep = line.partition(":")[0] in names
        if keep:
            kept.append(line)
    return "\n".join(kept).rstrip()


def _written(name: str, value: object) -> str:
    return yaml.safe_dump({name: value}).strip() if value is not None else f"{name}:"
