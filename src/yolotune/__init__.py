"""yolotune: finds the hyperparameters that train the best YOLO11 segmentation model on a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from yolotune.config.settings import Settings
    from yolotune.record.study import StudyRecord
    from yolotune.tuner.plan import Listener
    from yolotune.workflows.confirm import Confirmation
    from yolotune.workflows.retrain import Retrained

__all__ = ["Study", "confirm", "read_study", "resume", "retrain", "run"]
__version__ = "0.1.0"


def run(study: Settings, listener: Listener | None = None) -> StudyRecord:
    """Checks a study, runs it to its end and returns its record.

    Example:
        >>> import yolotune
        >>> study = yolotune.Study(data="data.yaml", model="yolo11n-seg.yaml", epochs=20, num_samples=6)
        >>> result = yolotune.run(study)  # doctest: +SKIP
        >>> result.best.point, result.frame().tail()  # doctest: +SKIP

    Raises:
        UserError: Everything that is wrong with the study, before the first epoch.
        StudyFailed: No trial has a value.
        KeyboardInterrupt: The study was stopped; its record is complete up to there.
    """
    from yolotune.tuner import runner as engine
    from yolotune.tuner.check import check

    return engine.run(check(study), listener)


def resume(
    folder: Path, study: Settings | None = None, listener: Listener | None = None, *, allow_changes: bool = False
) -> StudyRecord:
    """Goes on with a study and returns its record.

    Args:
        folder: The study's folder.
        study: Other settings than before, such as more trials; None for those it has.
        listener: Who is told what happens.
        allow_changes: Go on even where dataset, space or objective are others.

    Raises:
        UserError: No study there, another process works on it, or it has changed in a way that forbids going on.
        StudyFailed: No trial has a value.
        KeyboardInterrupt: It was stopped once more.
    """
    from yolotune.config.settings import load_settings
    from yolotune.workflows.resume import resume

    return resume(folder, study or load_settings(folder, {}), listener, allow_changes=allow_changes)


def confirm(
    folder: Path, study: Settings | None = None, listener: Listener | None = None, *, top: int = 3, seeds: int = 3
) -> Confirmation:
    """Trains the best points of a search and Ultralytics' defaults again on fresh seeds, and compares them.

    Args:
        folder: The study's folder; the trainings are kept in `confirm/` below it.
        study: Its settings with other resources than before; None for those it has.
        listener: Who is told what happens.
        top: Points beside the defaults, by their search value; 1 or more.
        seeds: Fresh seeds, the same for every point; 2 or more give an uncertainty.

    Raises:
        UserError: There is nothing to confirm, or dataset or settings have changed.
        StudyFailed: No training has a value.
        KeyboardInterrupt: It was stopped; the same call goes on.
    """
    from yolotune.config.settings import load_settings
    from yolotune.workflows.confirm import confirm

    return confirm(folder, study or load_settings(folder, {}), listener, top=top, seeds=seeds)


def retrain(
    folder: Path,
    study: Settings | None = None,
    listener: Listener | None = None,
    *,
    seeds: int = 1,
    on_all: bool = False,
) -> Retrained:
    """Trains the final model with the best point of a search, the confirmed one if there is one.

    Args:
        folder: The study's folder; each retrain is kept in a numbered folder below `retrain/`.
        study: Its settings with changes: epochs, image size, model, `train`, whose arguments go before the point's.
        listener: Who is told what happens.
        seeds: Trainings, each on a seed of its own; the best by its value on the val images is marked.
        on_all: Train on the val images too; then no score is an honest one.

    Raises:
        UserError: There is no point to train, or something is wrong with data or arguments.
        StudyFailed: No training has a value.
        KeyboardInterrupt: It was stopped; the same call goes on.
    """
    from yolotune.config.settings import load_settings
    from yolotune.workflows.retrain import retrain

    return retrain(folder, study or load_settings(folder, {}), listener, seeds=seeds, on_all=on_all)


def __getattr__(name: str) -> Any:
    """Imports the public names when they are first used: `yolotune --help` must not wait for pydantic."""
    if name == "Study":
        from yolotune.config.settings import Settings

        return Settings
    if name == "read_study":
        from yolotune.record.study import read_study

        return read_study
    raise AttributeError(f"module 'yolotune' has no attribute {name!r}")
