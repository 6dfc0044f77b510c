"""The study's own run in W&B: a table of its trials, the best so far, and the best model by lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from yolotune.metrics import better
from yolotune.tracking.base import TrialSummary, run_id
from yolotune.tracking.wandb_artifacts import log_files, model_name, use_model
from yolotune.tracking.wandb_client import RunThread
from yolotune.tracking.wandb_credentials import redacted


class WandbStudyRun:
    """The run of the study.

    Args:
        thread: Where the run is open.
        uid: Of the study.
        direction: Of the objective, `max` or `min`.
    """

    def __init__(self, thread: RunThread, uid: str, direction: str) -> None:
        self._thread = thread
        self._uid = uid
        self._direction = direction
        self._rows: dict[int, dict[str, Any]] = {}
        self._best: float | None = None
        self._thread.do("defining the axes", _define_axes)

    def trial_ended(self, summary: TrialSummary, *, log: bool = True) -> None:
        """Adds a trial to the table, and logs the table and the best value so far."""
        value = summary.value
        if value is not None and better(value, self._best, self._direction):
            self._best = value
        ended = {"verdict": str(summary.ending.verdict), "best_epoch": summary.best_epoch, "value": value}
        self._rows[summary.number] = {"trial": summary.number, **redacted(dict(summary.point)), **ended}
        if not log:
            return
        numbers: dict[str, float] = {"trials": len(self._rows), "epochs": summary.epochs_total}
        if self._best is not None:
            numbers |= {"best/over_trials": self._best, "best/over_epochs": self._best}
        self._thread.do("logging a trial", partial(_log_table, list(self._rows.values()), numbers))

    def finish(self, best_number: int | None, best_yaml: Path | None, *, failed: bool = False) -> None:
        """Ends the run: the best trial's model becomes its input, best.yaml an artifact."""
        self._thread.finish(partial(self._close, best_number, best_yaml), exit_code=int(failed))

    # --- in the thread -------------------------------------------------------------------------------------------

    def _close(self, best_number: int | None, best_yaml: Path | None, run: Any) -> None:
        if best_number is not None:
            best = run_id(self._uid, best_number)
            summary = {"best_trial": best_number, "best_trial_run_id": best, "value": self._best}
            run.summary.update({**summary, "best_artifact": f"{model_name(best)}:latest"})
            if self._thread.connected:
                use_model(run, best, "best_artifact_linked")
        if best_yaml is not None and best_yaml.is_file():
            log_files(run, f"best_config_{self._uid}", "config", {"best.yaml": best_yaml})


def _define_axes(run: Any) -> None:
    for metric, axis in (("best/over_trials", "trials"), ("best/over_epochs", "epochs")):
        run.define_metric(axis)
        run.define_metric(metric, step_metric=axis)


def _log_table(rows: Sequence[Mapping[str, Any]], numbers: Mapping[str, float], run: Any) -> None:
    """Logs all trials as one table, sent anew each time: one that W&B lets grow cannot be continued offline."""
    import wandb

    last = ("verdict", "best_epoch", "value")
    columns: list[str | int] = [*dict.fromkeys(name for row in rows for name in row if name not in last), *last]
    data = [[row.get(str(name)) for name in columns] for row in rows]
    table = wandb.Table(columns=columns, data=data, allow_mixed_types=True)
    run.log({"trials_table": table, **numbers}, step=len(rows), commit=True)
