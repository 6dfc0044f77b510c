"""What every study goes through once it is checked: its folder is taken, its trials run, its page is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings, is_known
from yolotune.errors import Problem, UserError
from yolotune.metrics import COMPUTED
from yolotune.record.folder import new_folder, owned
from yolotune.record.study import StudyRecord
from yolotune.report.page import write_report
from yolotune.tracking import redact
from yolotune.tuner import runner
from yolotune.tuner.events import Listener
from yolotune.tuner.local_ray import LocalRay
from yolotune.tuner.plan import Objects, Plan


def run_plan(
    plan: Plan, listener: Listener, before: StudyRecord | None = None, *, ahead: LocalRay | None = None
) -> StudyRecord:
    """Runs a checked study to its end and returns its record.

    Args:
        plan: What to run.
        listener: Who is told what happens.
        before: The record of a study that is resumed; None starts a new one.
        ahead: A local Ray that was started while the study was checked.

    Raises:
        UserError: Another process works on this study.
        StudyFailed: No trial has a value, every trial fails for the same reason, or Ray broke.
        KeyboardInterrupt: Ctrl-C or SIGTERM; running trials left after their epoch, and the study can be resumed.
    """
    folder = before.folder if before else plan.folder or new_folder(plan.settings)
    with owned(folder):
        result = runner.run(plan, folder, listener, before, ahead=ahead)
        _write_report(folder, listener, photos=not result.interrupted)  # who stops a study does not wait for them
    return result.checked()


def _write_report(folder: Path, listener: Listener, *, photos: bool) -> None:
    """Writes the study's page; whatever is wrong with that, the study is complete without it."""
    try:
        listener.report_written(write_report(folder, photos=photos, redact=redact))
    except Exception as error:  # it draws with many libraries, and none of them may cost a result
        listener.note(f"Report:  not written ({type(error).__name__}: {error}). Again: yolotune report {folder}")


#: In front of the name of an object, where a setting holds the name of what was given as one.
OBJECT = "object:"


def name_of(given: Any) -> str:
    """Returns the name by which the record knows an object: that of a function, or of the class of anything else."""
    return str(getattr(given, "__name__", type(given).__name__))


def require_objects(settings: Settings, objects: Objects) -> None:
    """Refuses to resume a study without the objects that it began with.

    Raises:
        UserError: A sampler, an objective or a scheduler is missing.
    """
    problems = []
    fix = "resume it in Python: yolotune.load(folder).resume({}=...)."
    if settings.search.startswith(OBJECT) and objects.sampler is None:
        what = f"the study was searched with the object {settings.search.removeprefix(OBJECT)}, which is not recorded."
        problems.append(Problem("search", what, fix.format("sampler")))
    if settings.objective.startswith(COMPUTED) and objects.objective is None:
        what = f"the study's objective is the function {settings.objective.removeprefix(COMPUTED)}, not recorded."
        problems.append(Problem("objective", what, fix.format("objective")))
    if not is_known(settings.scheduler):
        what = f"no scheduler is registered as {settings.scheduler.name!r} here."
        problems.append(Problem("scheduler", what, "call yolotune.schedulers.register_scheduler(...) first."))
    if problems:
        raise UserError(problems)
