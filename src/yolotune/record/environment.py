"""What a result depends on beside the settings: versions, machine, code, data."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from yolotune.errors import fail

FILE = "environment.json"
PACKAGES = ("yolotune", "ultralytics", "torch", "torchvision", "ray", "optuna", "wandb", "numpy")


def environment(
    *, model: str, dataset: Mapping[str, Any], gpus: bool, seed: int, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns what is written to environment.json.

    Args:
        model: As trials load it.
        dataset: What is known of the data (`data.dataset.Dataset.described`).
        gpus: Whether the study uses GPUs.
        seed: Of the study.
        notes: What the user was told before the start.
    """
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "gpus": _gpu_names() if gpus else [],
        "git": _git_commit(),
        "model": {"name": model, "sha256": digest(model)},
        "dataset": dict(dataset),
        "seed": seed,
        "notes": list(notes),
    }


def began_with(folder: Path) -> dict[str, Any]:
    """Returns the fingerprint and images of the dataset, and the sha256 of the weights, that a study began with.

    Raises:
        UserError: environment.json is missing or damaged.
    """
    path = folder / FILE
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        about = {name: recorded["dataset"][name] for name in ("fingerprint", "images")}
        return {**about, "weights": recorded["model"]["sha256"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"damaged: it does not say which data and weights the study began with ({type(error).__name__})."
        raise fail(str(path), what, "restore the file from a copy.") from error


def digest(model: str) -> str | None:
    """Returns the sha256 of weights; None for an architecture, which is known by its name."""
    path = Path(model)
    if path.suffix != ".pt" or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gpu_names() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _git_commit() -> str | None:
    """Returns the commit of the folder the study is started in, if it is a repository."""
    try:
        said = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None
