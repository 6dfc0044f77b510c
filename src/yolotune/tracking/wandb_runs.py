"""What W&B is sent of a study: the run of each trial, the run of the study itself, and their artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from yolotune.metrics import LEVELS, better, overfitting
from yolotune.record.verdict import PAUSED, Verdict
from yolotune.tracking.base import TrialResult, TrialSummary, run_id
from yolotune.tracking.wandb_client import RunThread
from yolotune.tracking.wandb_environment import redact, redacted


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
