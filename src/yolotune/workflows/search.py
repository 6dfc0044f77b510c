"""The search itself: check everything, then train trial after trial."""

from __future__ import annotations

from yolotune.config.settings import Settings
from yolotune.record.folder import wanted_folder
from yolotune.record.study import StudyRecord
from yolotune.tuner.check import check
from yolotune.tuner.events import Listener
from yolotune.tuner.local_ray import ray_ahead
from yolotune.tuner.plan import Objects
from yolotune.workflows.resume import resume
from yolotune.workflows.running import run_plan


def search(
    settings: Settings,
    listener: Listener | None = None,
    *,
    resume_existing: bool = False,
    objects: Objects | None = None,
) -> StudyRecord:
    """Checks a study and runs it to its end.

    Args:
        settings: What it is told.
        listener: Who is told what happens.
        resume_existing: Resume the study of this name where there is one, instead of taking the next free name.
        objects: What only Python can give.

    Raises:
        UserError: Everything that is wrong with the study, before the first epoch.
        StudyFailed: No trial has a value.
        KeyboardInterrupt: The study was stopped; its record is complete up to there.
    """
    folder = wanted_folder(settings)
    if resume_existing and (folder / "study.yaml").exists():
        return resume(folder, settings, listener, objects=objects)
    with ray_ahead(settings) as ahead:
        return run_plan(check(settings, objects=objects), listener or Listener(), ahead=ahead)
