"""yolotune: finds the hyperparameters that train the best YOLO11 segmentation model on a dataset.

>>> import yolotune
>>> study = yolotune.tune("data.yaml", model="yolo11n-seg.pt", epochs=100)  # doctest: +SKIP
>>> study.best.value, study.best.point, study.best.weights  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolotune.api import Study, load, tune
    from yolotune.errors import StudyFailed, UserError, YolotuneError
    from yolotune.tuner.events import Listener

__all__ = ["Listener", "Study", "StudyFailed", "UserError", "YolotuneError", "load", "tune"]
__version__ = "0.2.0"

_HOMES = {
    "Listener": "yolotune.tuner.events",
    "Study": "yolotune.api",
    "StudyFailed": "yolotune.errors",
    "UserError": "yolotune.errors",
    "YolotuneError": "yolotune.errors",
    "load": "yolotune.api",
    "tune": "yolotune.api",
}


def __getattr__(name: str) -> Any:
    """Imports public names when they are first used: `yolotune --help` must not wait for them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'yolotune' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
