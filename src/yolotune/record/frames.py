"""A recorded study as tables of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yolotune.record.study import StudyRecord

if TYPE_CHECKING:
    import pandas


def trials_frame(record: StudyRecord) -> pandas.DataFrame:
    """Returns a row per trial: its hyperparameters, then verdict, value, best epoch, epochs and seconds.

    The index is the trial's number. A hyperparameter that became something else than asked, such as a batch halved by a
    lack of memory, stands there as what it became.
    """
    import pandas

    rows = [
        {
            "trial": trial.number,
            **{name: trial.effective.get(name, value) for name, value in trial.point.items()},
            "verdict": str(trial.verdict or "running"),
            "value": trial.value,
            "best_epoch": trial.best_epoch,
            "epochs": len(trial.epochs),
            "seconds": round(trial.seconds, 3),
        }
        for trial in record.trials
    ]
    names = ["trial", "verdict", "value", "best_epoch", "epochs", "seconds"]
    return pandas.DataFrame(rows, columns=None if rows else names).set_index("trial")


def epochs_frame(record: StudyRecord) -> pandas.DataFrame:
    """Returns all epoch reports: a row per epoch, `trial` and `epoch` first, then the metrics by the record's names."""
    import pandas

    rows = [{"trial": trial.number, **row} for trial in record.trials for row in trial.epochs]
    return pandas.DataFrame(rows, columns=None if rows else ["trial", "epoch"])
