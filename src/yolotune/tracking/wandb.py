"""W&B as a study shows it: what all its runs share, and the run of each trial, under the guide's names.

What is drawn here is a copy of the record. Nothing waits for W&B and nothing fails with it (`session.py`).
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yolotune.config.space import Point
from yolotune.metrics import is_finite
from yolotune.record.study import PAUSED, Ending, Verdict
from yolotune.tracking.wandb_preflight import redact, redacted
from yolotune.tracking.wandb_session import OUTAGE, UNSENT, Session

#: The guide's files, as Ultralytics draws them.
CURVES = (
    *(f"{kind}{curve}_curve.png" for kind in ("Box", "Mask") for curve in ("F1", "P", "PR", "R")),
    "confusion_matrix.png",
    "confusion_matrix_normalized.png",
    "results.png",
    "results.csv",
    "labels.jpg",
)
#: Overfitting by the gap between train F1 and val F1; the guide's examples are 3 %, 15 % and 35 %, these lie between.
LEVELS = ("good", "warning", "severe")
WARNING_GAP, SEVERE_GAP = 0.10, 0.25


@dataclass(frozen=True)
class Tracking:
    """What all runs of a study share; small and without secrets, so that it can be sent to every trial.

    Attributes:
        mode: `online`, `offline` or `disabled`, as `preflight` decided.
        project: W&B project.
        entity: W&B user or team; None for the key's own.
        study: Name of the study.
        uid: Identifies the study for ever; a study that is resumed has the same, so its trials continue their runs.
        folder: Where wandb keeps runs and staged artifacts; its name is `wandb`.
        tags: Of every run.
        group: What the runs of the study are grouped by; the study's name if not given.
        job_type: Replaces `trial` and `study`.
        kind: What its trainings are called: `trial`, or what is done with the points of a search.
        lineage: Where the points come from, for the config of every run; a trial's run id under `search_run_id` makes
            its best model an input of the runs.
    """

    mode: str
    project: str
    entity: str | None
    study: str
    uid: str
    folder: Path
    tags: tuple[str, ...] = ()
    group: str | None = None
    job_type: str | None = None
    kind: str = "trial"
    lineage: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_environment(
        cls,
        mode: str,
        *,
        project: str,
        study: str,
        uid: str,
        folder: Path,
        tags: Sequence[str] = (),
        group: str | None = None,
        kind: str = "trial",
        lineage: Mapping[str, Any] | None = None,
    ) -> Tracking:
        """Returns the tracking of a study, W&B's own variables going before what the study would choose.

        Called by the driver alone, so that the trials on all machines agree.

        Args:
            mode: As `preflight` returned it.
            project: Used without WANDB_PROJECT; characters that W&B refuses are replaced.
            study: Name of the study.
            uid: See above.
            folder: Used without WANDB_DIR.
            tags: Those of WANDB_TAGS are added.
            group: Used without WANDB_RUN_GROUP.
            kind: See above.
            lineage: See above.
        """
        env = os.environ
        users_folder = env.get("WANDB_DIR")
        all_tags = (tag.strip()[:64] for tag in (*tags, *env.get("WANDB_TAGS", "").split(",")))  # W&B refuses longer
        return cls(
            mode=mode,
            project=env.get("WANDB_PROJECT") or re.sub(r"[/\\#?%:]", "-", project)[:128],
            entity=env.get("WANDB_ENTITY") or None,
            study=study,
            uid=uid,
            folder=Path(users_folder).resolve() / "wandb" if users_folder else folder,
            tags=tuple(dict.fromkeys(tag for tag in all_tags if tag)),
            group=env.get("WANDB_RUN_GROUP") or group,
            job_type=env.get("WANDB_JOB_TYPE") or None,
            kind=kind,
            lineage=lineage or {},
        )

    def run_id(self, number: int) -> str:
        """Returns the id of a trial's run: the same whenever the trial is continued."""
        return run_id(self.uid, number)

    def session(self, run_id: str, name: str, job_type: str, config: Mapping[str, Any]) -> Session:
        """Opens a run of the study."""
        init = {
            "id": run_id,
            "name": name,
            "project": self.project,
            "entity": self.entity,
            "group": (self.group or self.study)[:128],
            "job_type": self.job_type or job_type,
            "tags": list(self.tags),
            "config": redacted({**config, **self.lineage}),
        }
        return Session(self.mode, self.folder, init)


def overfitting_level(gap: float) -> str:
    """Returns the guide's word for a gap between train F1 and val F1."""
    return LEVELS[(gap >= WARNING_GAP) + (gap >= SEVERE_GAP)]


def overfitting(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns `overfitting/gap` and `overfitting/level` (0, 1 or 2) of an epoch report; nothing without both F1."""
    train, val = row.get("train_seg_metrics/F1"), row.get("seg_metrics/F1")
    if not (is_finite(train) and is_finite(val)) or train is None or val is None:
        return {}
    gap = round(train - val, 5)
    return {"overfitting/gap": gap, "overfitting/level": LEVELS.index(overfitting_level(gap))}


def run_id(uid: str, number: int) -> str:
    """Returns the id of the run of a trial."""
    return f"{uid}-{number:04d}"


def artifact_name(run_id: str) -> str:
    """Returns the guide's name of a trial's best weights."""
    return f"best_model_trial_{run_id}"


class NullRun:
    """A trial's run where W&B is switched off."""

    url: str | None = None

    def log_epoch(self, row: Mapping[str, Any]) -> None: ...
    def pause(self) -> None: ...
    def finish(
        self,
        ending: Ending,
        best_epoch: int | None,
        value: float | None,
        effective: Mapping[str, Any],
        weights: Path,
        curves: Path,
    ) -> None: ...


class TrialRun(NullRun):
    """The run of one trial."""

    def __init__(self, tracking: Tracking, number: int, config: Mapping[str, Any]) -> None:
        self._id = tracking.run_id(number)
        self._levels: dict[int, str] = {}
        self._epoch = 0
        self._session = tracking.session(self._id, f"{tracking.kind}-{number:04d}", tracking.kind, config)
        self._session.do("defining the axis", lambda run: run.define_metric("*", step_metric="epoch"))
        source = tracking.lineage.get("search_run_id")
        if source:
            name = artifact_name(str(source))
            self._session.do("linking the model", lambda run: link(run, name, outage(tracking), "search_model_linked"))

    @property
    def url(self) -> str | None:  # type: ignore[override]
        """Address of the run's page, once it is known."""
        return self._session.url

    def log_epoch(self, row: Mapping[str, Any]) -> None:
        """Logs an epoch report of the record, which has the guide's names already, and how far it overfits."""
        self._epoch = int(row["epoch"])
        step, more = self._epoch, overfitting(row)
        if more:
            self._levels[step] = LEVELS[int(more["overfitting/level"])]
        # wandb holds a row with a step of its own back until the next one, unless told that it is complete
        self._session.do("logging an epoch", lambda run: run.log({**row, **more}, step=step, commit=True))

    def pause(self) -> None:
        """Ends this part of the run; the trial goes on with the next, under the same id."""
        self._session.finish(lambda run: run.summary.update({"verdict": PAUSED}), exit_code=0)

    def finish(
        self,
        ending: Ending,
        best_epoch: int | None,
        value: float | None,
        effective: Mapping[str, Any],
        weights: Path,
        curves: Path,
    ) -> None:
        """Ends the run as the trial ended, and waits until it is uploaded, a minute at most.

        Args:
            ending: Verdict and reason; every verdict but `failed` makes a `finished` run.
            best_epoch: As in the record.
            value: As in the record.
            effective: Arguments that became something else than was asked; they replace those in the config.
            weights: `best.pt`, uploaded if it is there.
            curves: Folder of the curves; those that are there are uploaded.
        """
        verdict = str(ending.verdict)
        summary = {"verdict": verdict, "reason": redact(ending.reason), "best_epoch": best_epoch, "value": value}
        level = self._levels.get(best_epoch or 0)
        if level is not None:
            summary["overfitting"] = level

        def close(run: Any) -> None:
            run.config.update(redacted(dict(effective)), allow_val_change=True)
            verdicts = set(Verdict)  # of an interrupted trial that was continued
            run.tags = (*(tag for tag in run.tags if tag not in verdicts), verdict)
            _log_curves(run, curves, self._id, self._epoch)
            if weights.is_file():
                log_files(run, artifact_name(self._id), "model", {"best.pt": weights})
            run.summary.update(summary)

        self._session.finish(close, exit_code=int(ending.verdict is Verdict.FAILED))


def _log_curves(run: Any, folder: Path, run_id: str, epoch: int) -> None:
    """Shows the curves as images, and keeps all of them, results.csv too, as one artifact."""
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


def link(run: Any, artifact: str, lost: str | None, said: str) -> None:
    """Makes an artifact an input of the run; only the server can, and only if the artifact reached it.

    Args:
        run: The `wandb.Run`.
        artifact: Its name.
        lost: Why the server is known to be lost, if it is.
        said: Key of the run's summary that says so where the server has no such artifact.
    """
    if run.offline or lost:
        return
    import wandb

    try:
        run.use_artifact(f"{run.entity}/{run.project}/{artifact}:latest")
    except (wandb.Error, ValueError, TypeError):
        run.summary[said] = False


def open_trial_run(tracking: Tracking, number: int, point: Point, fixed: Mapping[str, Any], model: str) -> NullRun:
    """Opens the run of a trial, or continues it; returns at once.

    Args:
        tracking: Of the study.
        number: The trial.
        point: Its hyperparameters.
        fixed: Arguments that are the same in all trials.
        model: Weights or architecture.
    """
    if tracking.mode == "disabled":
        return NullRun()
    return TrialRun(tracking, number, {**fixed, **point, "model": model})


def outage(tracking: Tracking) -> str | None:
    """Returns the one warning about a server that was lost while the study ran, to be shown by the driver."""
    try:
        return (tracking.folder / OUTAGE).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def sync_line(tracking: Tracking) -> str | None:
    """Returns the one command that uploads everything of the study that W&B does not have; None if it has all."""
    if tracking.mode == "disabled":
        return None
    folder, ours = tracking.folder, f"-{tracking.uid}-*"
    unsent = sorted(path.parent for path in folder.glob(f"run-*{ours}/{UNSENT}"))
    words = [f"{shlex.quote(str(folder))}/offline-run-*{ours}"] if any(folder.glob(f"offline-run-*{ours}")) else []
    words += [shlex.quote(str(path)) for path in unsent]
    if not words:
        return None
    return " ".join(["wandb sync", *(["--include-online"] if unsent else []), *words])
