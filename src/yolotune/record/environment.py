"""What a result depends on beside the settings: versions, machine, code, data."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from yolotune.tuner.plan import Plan


def environment(plan: Plan) -> dict[str, Any]:
    """Returns what is written to environment.json."""
    names = ("yolotune", "ultralytics", "torch", "torchvision", "ray", "optuna", "wandb", "numpy")
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {name: _version(name) for name in names},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "gpus": _gpu_names() if plan.resources.gpus else [],
        "git": _git_commit(),
        "model": {"name": plan.model, "sha256": digest(plan.model)},
        "dataset": {
            "yaml": str(plan.dataset.yaml),
            "fingerprint": plan.dataset.fingerprint,
            "images": plan.dataset.images,
            "instances": plan.dataset.instances,
            "ignored": {split: len(images) for split, images in plan.dataset.ignored.items()},
            "areas": list(plan.dataset.areas),
            "side": plan.dataset.side,
            "names": {str(k): v for k, v in plan.dataset.names.items()},
        },
        "seed": plan.study.seed,
        "notes": plan.notes,
    }


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
