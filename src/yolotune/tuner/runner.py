"""The run of a checked study: its record, its tracker, and Ray Tune around the conductor."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune.data.doctor import write_summary
from yolotune.data.index import build_index, write_resolved, write_train_subset
from yolotune.errors import StudyFailed
from yolotune.record import checkpoint
from yolotune.record.environment import environment
from yolotune.record.study import StudyRecord, TrialRecord, read_study, trial_folder
from yolotune.record.writer import RecordWriter
from yolotune.schedulers import make_scheduler
from yolotune.schedulers.plateau import PlateauRule
from yolotune.search.optimizer import Optimizer
from yolotune.tracking import StudyRun, Tracker, TrackingContext, TrialSummary, make_tracker, run_id
from yolotune.training.job import Job
from yolotune.tuner.conductor import Conductor
from yolotune.tuner.events import Listener
from yolotune.tuner.local_ray import LocalRay
from yolotune.tuner.parts import Parts
from yolotune.tuner.plan import Plan
from yolotune.tuner.ray_run import run_trials
from yolotune.tuner.slots import Slots
from yolotune.tuner.stop import StudyStop

if TYPE_CHECKING:
    from yolotune.tuner.trainable import Trainable


@dataclass(frozen=True)
class RunResult:
    """How a run of a study ended.

    Attributes:
        record: The study as it stands now.
        failure: Why it broke; None where it did not.
        interrupted: Whether it was stopped by Ctrl-C or SIGTERM.
        ended_early: Whether it ended before its last trial, for whatever reason.
    """

    record: StudyRecord
    failure: str | None
    interrupted: bool
    ended_early: bool

    def checked(self) -> StudyRecord:
        """Returns the record of a run that has a result, or can be resumed because its budget was spent.

        Raises:
            StudyFailed: No trial has a value, every trial fails for the same reason, or Ray broke.
            KeyboardInterrupt: It was stopped; running trials left after their epoch, and the study can be resumed.
        """
        if self.failure:
            raise StudyFailed(self.failure)
        if self.interrupted:
            raise KeyboardInterrupt
        if self.record.best is None and not self.ended_early:
            raise StudyFailed(_why_nothing(self.record))
        return self.record


def run(
    plan: Plan,
    folder: Path,
    listener: Listener,
    before: StudyRecord | None = None,
    *,
    ahead: LocalRay | None = None,
    on_last_verdict: Callable[[], None] | None = None,
    trainable: type[Trainable] | None = None,
) -> RunResult:
    """Runs the trials of a checked study that are left.

    Args:
        plan: What to run.
        folder: Of the study, owned by this process (`record.lock`).
        listener: Who is told what happens.
        before: The record of a study that is resumed; None starts a new one.
        ahead: A local Ray that was started while the study was checked.
        on_last_verdict: Called when every trial has its verdict, while the last ones still end in good order.
        trainable: A stand-in for `trainable.Trainable`, to try a study out without training.
    """
    recorded = before.trials if before else []
    record = _open_record(plan, folder, before)
    job = _write_job(plan, folder)
    listener.study_started(folder, plan)
    listener.trials_recorded(recorded)
    stop = StudyStop(
        plan.settings.cost_limit,
        trained={trial.number: len(trial.epochs) for trial in recorded},
        seconds=before.seconds_worked if before else 0.0,
    )
    with _tracked(plan, record, listener, stop) as (tracker, study_run):
        _replay(study_run, recorded)
        parts = Parts(
            plan=plan,
            record=record,
            search=_make_search(plan, folder, recorded),
            scheduler=make_scheduler(plan.settings),
            plateau=PlateauRule(plan.settings) if plan.settings.plateau else None,
            tracking=study_run,
            listener=listener,
            slots=Slots(plan.resources, plan.settings),
            stop=stop,
        )
        conductor = Conductor(parts, recorded)
        record.slots(parts.slots.open, "the study begins" if plan.resources.auto else "as it was told")
        try:
            if not conductor.over:
                run_trials(
                    conductor, parts, job, tracker, ahead=ahead, on_last_verdict=on_last_verdict, trainable=trainable
                )
        finally:
            conductor.close()
            _drop_images(folder)
    _close_weights(read_study(folder).trials, keep_last=plan.keep_last)
    return RunResult(read_study(folder), stop.failure, stop.signalled, stop.is_set())


def _open_record(plan: Plan, folder: Path, before: StudyRecord | None) -> RecordWriter:
    """Creates the folder of a new study, or takes over that of one that is resumed."""
    settings = plan.settings
    record = RecordWriter(folder, metric=settings.metric, mode=settings.direction, uid=before.uid if before else None)
    written: dict[str, Any] = {**settings.model_dump(), "data": str(plan.dataset.yaml), "model": plan.model}
    written |= {"warm_points": plan.warm.points, "warm_from": [asdict(one) for one in plan.warm.provenance]}
    if plan.origin:
        written["origin"] = asdict(plan.origin)
    if before is None:
        about = environment(
            model=plan.model,
            dataset=plan.dataset.described(),
            gpus=plan.resources.gpus > 0,
            seed=settings.seed,
            notes=plan.notes,
        )
        record.create(written, about)
        return record
    record.reopen(before.trials, written)
    _close_weights(before.trials, keep_last=plan.keep_last)
    _update_best(record, plan, before)
    return record


def _update_best(record: RecordWriter, plan: Plan, before: StudyRecord) -> None:
    """Writes best.yaml as the record knows it: with the confirmed point, or with the best one found since."""
    best, confirmed = before.best, before.confirmed
    if confirmed is not None:
        trial = before.trial(confirmed.trial)
        record.keep_confirmed(confirmed, plan.hyperparameters(trial.point, trial.effective))
    if best is not None and best.value is not None:
        record.update_best(best.number, best.value, plan.hyperparameters(best.point, best.effective))


def _close_weights(trials: Iterable[TrialRecord], *, keep_last: bool) -> None:
    """Leaves best.pt alone of trials that have a verdict and whose process was killed before it could do so."""
    for trial in trials:
        if trial.ending is not None and not trial.unfinished and not (trial.folder / "ended.yaml").exists():
            checkpoint.close(trial.folder / "weights", len(trial.epochs), keep_last=keep_last)


def _write_job(plan: Plan, folder: Path) -> Job:
    """Writes what all trials read: resolved paths, label indexes, the training images that are measured."""
    settings, data = plan.settings, folder / "data"
    data.mkdir(exist_ok=True)
    _drop_images(folder)  # of a run that was killed: the dataset may have changed since
    write_summary(plan.examined, data)
    fraction = settings.fixed.get("fraction", 1.0)
    return Job(
        model=plan.model,
        data=write_resolved(plan.dataset, data),
        epochs=settings.epochs,
        fixed=settings.fixed,
        metric=settings.metric,
        mode=settings.direction,
        indexes={split: build_index(plan.dataset, split, data) for split in ("train", "val")},
        images=_images(folder) if plan.images else None,
        train_subset=write_train_subset(plan.dataset, data, fraction=fraction, seed=settings.seed),
        device="0" if plan.resources.gpu_share else "cpu",
        threads=plan.resources.threads,
        workers=plan.resources.workers,
        keep_last=plan.keep_last,
        objective=plan.objects.objective,
        callbacks=plan.objects.callbacks,
    )


def _images(folder: Path) -> Path:
    """Returns where trainings share decoded images while a study runs."""
    return folder / "data" / "images"


def _drop_images(folder: Path) -> None:
    shutil.rmtree(_images(folder), ignore_errors=True)


def _make_search(plan: Plan, folder: Path, recorded: Sequence[TrialRecord]) -> Optimizer:
    return Optimizer(
        plan.settings,
        plan.points,
        recorded=recorded,
        database=folder / "study.db",
        sampler=plan.objects.sampler,
    )


@contextmanager
def _tracked(
    plan: Plan, record: RecordWriter, listener: Listener, stop: StudyStop
) -> Iterator[tuple[Tracker, StudyRun]]:
    """Opens the study's own run in the tracker, and at the end says what the tracker does not have yet."""
    settings, origin = plan.settings, plan.origin
    lineage: dict[str, Any] = {}
    if origin:
        lineage = {"search_uid": origin.uid, "search_trial": origin.trial}
        if origin.trial is not None:
            lineage["search_run_id"] = run_id(origin.uid, origin.trial)
    kinds = [origin.kind] if origin else [settings.search, settings.scheduler.name]
    context = TrackingContext(
        mode=plan.tracking,
        project=settings.project or "yolotune",
        study=settings.name,
        uid=record.uid,
        folder=record.folder / settings.tracker,
        tags=(*kinds, Path(plan.model).stem),
        group=origin.study if origin else None,
        kind=origin.kind if origin else "trial",
        lineage=lineage,
    )
    tracker = make_tracker(settings, context)
    warm_from = [asdict(one) for one in plan.warm.provenance]
    config = settings.model_dump(mode="json") | {"warm_from": warm_from}
    study_run = tracker.open_study(config, settings.direction)
    try:
        yield tracker, study_run
    finally:
        study_run.finish(record.best_number, record.folder / "best.yaml", failed=stop.failure is not None)
        for line in tracker.notes():
            listener.note(line)


def _replay(study_run: StudyRun, recorded: Sequence[TrialRecord]) -> None:
    """Tells the tracker of trials that ended before the study was resumed; their points are logged already."""
    total = 0
    for trial in recorded:
        total += len(trial.epochs)
        if trial.ending is not None and not trial.unfinished:
            summary = TrialSummary(
                number=trial.number,
                point=trial.point,
                ending=trial.ending,
                best_epoch=trial.best_epoch,
                value=trial.value,
                epochs_total=total,
            )
            study_run.trial_ended(summary, log=False)


def _why_nothing(result: StudyRecord) -> str:
    """Returns why a study ended without a single value, from its first trial."""
    first = result.trials[0] if result.trials else None
    if first is None or first.ending is None:
        return "no trial was started."
    log = trial_folder(result.folder, first.number)
    ending = first.ending
    return f"no trial has a value. Trial 0 {ending.verdict}: {ending.reason}. See {log}/error.txt and train.log."
