"""The study's own run in W&B: a table of its trials, the best so far, and the best model by lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolotune.config.space import Point
from yolotune.metrics import better
from yolotune.record.study import Ending
from yolotune.tracking.wandb import Tracking, artifact_name, link, log_files, outage
from yolotune.tracking.wandb_preflight import redacted
from yolotune.tracking.wandb_session import OUTAGE


class NullStudyRun:
    """The study's run where W&B is switched off."""

    url: str | None = None

    def trial_ended(
        self,
        number: int,
        point: Point,
        ending: Ending,
        best_epoch: int | None,
        value: float | None,
        epochs_total: int,
        *,
        log: bool = True,
    ) -> None: ...
    def finish(self, best_number: int | None, best_yaml: Path | None, *, failed: bool = False) -> None: ...


class StudyRun(NullStudyRun):
    """The run of the study itself: a table of its trials, and the best so far."""

    def __init__(self, tracking: Tracking, settings: Mapping[str, Any], mode: str) -> None:
        self._tracking = tracking
        self._mode = mode
        self._rows: dict[int, dict[str, Any]] = {}
        self._best: float | None = None
        self._session = tracking.session(f"{tracking.uid}-study", tracking.study, "study", settings)
        self._session.do("defining the axes", _define_axes)

    @property
    def url(self) -> str | None:  # type: ignore[override]
        """Address of the run's page, once it is known."""
        return self._session.url

    def trial_ended(
        self,
        number: int,
        point: Point,
        ending: Ending,
        best_epoch: int | None,
        value: float | None,
        epochs_total: int,
        *,
        log: bool = True,
    ) -> None:
        """Adds a trial to the table.

        Args:
            number: The trial.
            point: Its hyperparameters, those that vary.
            ending: Verdict and reason.
            best_epoch: As in the record.
            value: As in the record.
            epochs_total: Epochs that all trials of the study have trained by now.
            log: False for the trials that had ended before the study was resumed: they were logged then.
        """
        if value is not None and better(value, self._best, self._mode):
            self._best = value
        ended = {"verdict": str(ending.verdict), "best_epoch": best_epoch, "value": value}
        self._rows[number] = {"trial": number, **redacted(dict(point)), **ended}
        if not log:
            return
        rows, trials, best = list(self._rows.values()), len(self._rows), self._best

        def write(run: Any) -> None:
            numbers: dict[str, float] = {"trials": trials, "epochs": epochs_total}
            if best is not None:
                numbers |= {"best/over_trials": best, "best/over_epochs": best}
            run.log({"trials_table": _table(rows), **numbers}, step=trials, commit=True)

        self._session.do("logging a trial", write)

    def finish(self, best_number: int | None, best_yaml: Path | None, *, failed: bool = False) -> None:
        """Ends the run.

        Args:
            best_number: The best trial; its weights are linked as an input of this run where the server has them.
            best_yaml: Its hyperparameters, kept as an artifact.
            failed: Whether the study ended without a result.
        """
        tracking = self._tracking

        def close(run: Any) -> None:
            if best_number is not None:
                name = artifact_name(tracking.run_id(best_number))
                best = {"best_trial": best_number, "best_trial_run_id": tracking.run_id(best_number)}
                run.summary.update({**best, "best_artifact": f"{name}:latest", "value": self._best})
                link(run, name, outage(tracking), "best_artifact_linked")
            if best_yaml is not None and best_yaml.is_file():
                log_files(run, f"best_config_{tracking.uid}", "config", {"best.yaml": best_yaml})

        self._session.finish(close, exit_code=int(failed))


def _define_axes(run: Any) -> None:
    for metric, axis in (("best/over_trials", "trials"), ("best/over_epochs", "epochs")):
        run.define_metric(axis)
        run.define_metric(metric, step_metric=axis)


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Returns all trials as one table, sent anew each time: one that W&B lets grow cannot be continued offline."""
    import wandb

    end = ("verdict", "best_epoch", "value")
    columns: list[str | int] = [*dict.fromkeys(name for row in rows for name in row if name not in end), *end]
    data = [[row.get(str(name)) for name in columns] for row in rows]
    return wandb.Table(columns=columns, data=data, allow_mixed_types=True)


def open_study_run(tracking: Tracking, settings: Mapping[str, Any], mode: str = "max") -> NullStudyRun:
    """Opens the run of a study, or continues it; returns at once. Called by the driver before any trial runs.

    Args:
        tracking: Of the study.
        settings: Of the study, the run's config.
        mode: Direction of the objective, `max` or `min`.
    """
    if tracking.mode == "disabled":
        return NullStudyRun()
    (tracking.folder / OUTAGE).unlink(missing_ok=True)  # what an earlier session met
    return StudyRun(tracking, settings, mode)
