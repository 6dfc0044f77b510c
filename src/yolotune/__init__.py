"""yolotune: finds the hyperparameters that train the best YOLO11 segmentation model on a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolotune.engine import Listener
    from yolotune.record import StudyRecord
    from yolotune.study import Study

__all__ = ["Study", "read_study", "run"]
__version__ = "0.1.0"


def run(study: Study, listener: Listener | None = None) -> StudyRecord:
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
    from yolotune import engine
    from yolotune.check import check

    return engine.run(check(study), listener)


def __getattr__(name: str) -> Any:
    """Imports the public names when they are first used: `yolotune --help` must not wait for pydantic."""
    if name == "Study":
        from yolotune.study import Study

        return Study
    if name == "read_study":
        from yolotune.record import read_study

        return read_study
    raise AttributeError(f"module 'yolotune' has no attribute {name!r}")
