"""The run of one trial in W&B, under the guide's names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from yolotune.metrics import LEVELS, overfitting
from yolotune.record.verdict import PAUSED, Verdict
from yolotune.tracking.base import TrialResult
from yolotune.tracking.wandb_artifacts import log_curves, log_model, use_model
from yolotune.tracking.wandb_client import RunThread
from yolotune.tracking.wandb_credentials import redact, redacted


class WandbTrialRun:
    """The run of one trial.

    Args:
        thread: Where the run is open.
        run_id: Its id.
        source: Id of the run whose best model this one is made from, if any; it becomes an input of this run.
    """

    def __init__(self, thread: RunThread, run_id: str, source: str | None = None) -> None:
        self._thread = thread
        self._id = run_id
        self._levels: dict[int, str] = {}
        self._epoch = 0
        self._thread.do("defining the axis", lambda run: run.define_metric("*", step_metric="epoch"))
        if source:
            self._thread.do("linking the model", partial(self._link, source))

    def log_epoch(self, row: Mapping[str, Any]) -> None:
        """Logs an epoch report of the record, which has the guide's names already, and how far it overfits."""
        self._epoch = int(row["epoch"])
        step, more = self._epoch, overfitting(row)
        if more:
            self._levels[step] = LEVELS[int(more["overfitting/level"])]
        # wandb holds a row with a step of its own back until the next one, unless told that it is complete
        self._thread.do("logging an epoch", lambda run: run.log({**row, **more}, step=step, commit=True))

    def pause(self) -> None:
        """Ends this part of the run; the trial continues with the next, under the same id."""
        self._thread.finish(lambda run: run.summary.update({"verdict": PAUSED}), exit_code=0)

    def finish(self, result: TrialResult) -> None:
        """Ends the run, and waits until it is uploaded, a minute at most. Only `failed` makes a failed run."""
        failed = result.ending.verdict is Verdict.FAILED
        self._thread.finish(partial(self._close, result), exit_code=int(failed))

    # --- in the thread -------------------------------------------------------------------------------------------

    def _link(self, source: str, run: Any) -> None:
        if self._thread.connected:
            use_model(run, source, "search_model_linked")

    def _close(self, result: TrialResult, run: Any) -> None:
        verdict = str(result.ending.verdict)
        run.config.update(redacted(dict(result.effective)), allow_val_change=True)
        verdicts = set(Verdict)  # of an interrupted trial that was continued
        run.tags = (*(tag for tag in run.tags if tag not in verdicts), verdict)
        log_curves(run, self._id, result.curves, self._epoch)
        log_model(run, self._id, result.weights)
        ended = {"verdict": verdict, "reason": redact(result.ending.reason)}
        summary = {**ended, "best_epoch": result.best_epoch, "value": result.value}
        level = self._levels.get(result.best_epoch or 0)
        run.summary.update({**summary, "overfitting": level} if level else summary)
