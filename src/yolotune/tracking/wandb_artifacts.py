"""The guide's artifacts: the best weights of a trial, and its curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: The guide's files, as Ultralytics draws them.
CURVES = (
    *(f"{kind}{curve}_curve.png" for kind in ("Box", "Mask") for curve in ("F1", "P", "PR", "R")),
    "confusion_matrix.png",
    "confusion_matrix_normalized.png",
    "results.png",
    "results.csv",
    "labels.jpg",
)


def model_name(run_id: str) -> str:
    """Returns the guide's name of a trial's best weights."""
    return f"best_model_trial_{run_id}"


def log_model(run: Any, run_id: str, weights: Path) -> None:
    """Keeps `best.pt` as an artifact, if it is there."""
    if weights.is_file():
        log_files(run, model_name(run_id), "model", {"best.pt": weights})


def log_curves(run: Any, run_id: str, folder: Path, epoch: int) -> None:
    """Shows the curves that are there as images, and keeps all of them, results.csv too, as one artifact.

    Args:
        run: The `wandb.Run`.
        run_id: Of the trial.
        folder: Where the curves are.
        epoch: The last one that was logged.
    """
    import wandb

    found = {name: folder / name for name in CURVES if (folder / name).is_file()}
    images = {f"curves/{path.stem}": wandb.Image(str(path)) for path in found.values() if path.suffix != ".csv"}
    if images:
        run.log({**images, "epoch": epoch}, step=epoch + 1, commit=True)  # the step of the last epoch is complete
    if found:
        log_files(run, f"curves_trial_{run_id}", "curves", found)


def log_files(run: Any, name: str, kind: str, files: Mapping[str, Path]) -> None:
    """Logs files as an artifact. They are copied: the trial's own may change when it is continued."""
    import wandb

    artifact = wandb.Artifact(name, type=kind)
    for inside, path in files.items():
        artifact.add_file(str(path), name=inside, skip_cache=True)
    run.log_artifact(artifact, aliases=["best", "latest"] if kind == "model" else ["latest"])


def use_model(run: Any, run_id: str, said: str) -> None:
    """Makes the best weights of a trial an input of a run; only the server can, and only if they reached it.

    Args:
        run: The `wandb.Run`, online.
        run_id: Of the trial.
        said: Key of the run's summary that says so where the server has no such artifact.
    """
    import wandb

    try:
        run.use_artifact(f"{run.entity}/{run.project}/{model_name(run_id)}:latest")
    except (wandb.Error, ValueError, TypeError):
        run.summary[said] = False
