"""F1 by class of a trial's best epoch, as the trial wrote it down when it had ended."""

from __future__ import annotations

from yolotune._yaml import read_yaml
from yolotune.errors import UserError
from yolotune.metrics import is_finite
from yolotune.record.study import TrialRecord


def f1_by_class(trial: TrialRecord) -> dict[str, float]:
    """Returns F1 of the best epoch on val by class name, 0..1, of the classes with labels there.

    Empty where `ended.yaml` is missing or damaged, and where an earlier version wrote it: it only helps.
    """
    try:
        read = read_yaml(trial.folder / "ended.yaml", whole=True)
    except (OSError, UserError):
        return {}
    said = read.get("f1_by_class") if isinstance(read, dict) else None
    if not isinstance(said, dict):
        return {}
    return {str(name): float(value) for name, value in said.items() if is_finite(value)}
