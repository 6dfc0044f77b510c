"""What every study goes through once it is checked: its folder is taken, its trials run, what it delivers is scored on
the test split if there is one, and its page is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings, is_known
from yolotune.errors import Problem, UserError
from yolotune.metrics import COMPUTED
from yolotune.prepared import PreparedProcess
from yolotune.record.folder import new_folder, owned
from yolotune.record.study import StudyRecord, TrialRecord, read_study
from yolotune.report.page import write_report
from yolotune.report.photos import PAINTER
from yolotune.tracking import redact
from yolotune.tuner import runner
from yolotune.tuner.events import Listener
from yolotune.tuner.local_ray import LocalRay
from yolotune.tuner.plan import Objects, Plan
from yolotune.workflows.delivered import OnTest, best_and_defaults


def run_plan(
    plan: Plan,
    listener: Listener,
    before: StudyRecord | None = None,
    *,
    ahead: LocalRay | None = None,
    delivered: Callable[[StudyRecord], Sequence[TrialRecord]] = best_and_defaults,
) -> StudyRecord:
    """Runs a checked study to its end and returns its record.

    Args:
        plan: What to run.
        listener: Who is told what happens.
        before: The record of a study that is resumed; None starts a new one.
        ahead: A local Ray that was started while the study was checked.
        delivered: Says whose models are scored on the test split, if the dataset has one.

    Raises:
        UserError: Another process works on this study.
        StudyFailed: No trial has a value, every trial fails for the same reason, or Ray broke.
        KeyboardInterrupt: Ctrl-C or SIGTERM; running trials left after their epoch, and the study can be resumed.
    """
    folder = before.folder if before else plan.folder or new_folder(plan.settings)
    page, on_test = _Page(folder, listener), OnTest(plan, folder)

    def prepare() -> None:
        on_test.prepare()
        page.prepare()

    with owned(folder):
        try:
            result = runner.run(plan, folder, listener, before, ahead=ahead, on_last_verdict=prepare)
            if not result.interrupted:  # who stops a study does not wait for more than its record
                failed = on_test.score(delivered(result.record))
                if failed:
                    listener.note(f"Test:    not scored on the test split ({failed})")
            page.write(photos=not result.interrupted)
        finally:
            on_test.close()
            page.close()
    result.checked()
    return read_study(folder)  # with the scores


class _Page:
    """A study's page; whatever is wrong with it, the study is complete without it.

    Args:
        folder: Of the study.
        listener: Who is told.
    """

    def __init__(self, folder: Path, listener: Listener) -> None:
        self._folder = folder
        self._listener = listener
        self._painter: PreparedProcess | None = None

    def prepare(self) -> None:
        """Starts the process that draws photographs, so that it is ready when the last trial has ended."""
        with suppress(OSError):  # then there are none, and the page says why
            self._painter = PreparedProcess(PAINTER)

    def write(self, *, photos: bool) -> None:
        """Writes the page, or tells why it could not."""
        folder = self._folder
        try:
            path = write_report(folder, photos=photos, redact=redact, painter=self._painter)
            self._listener.report_written(path)
        except Exception as error:  # it draws with many libraries, and none of them may cost a result
            what = f"not written ({type(error).__name__}: {error}). Again: yolotune report {folder}"
            self._listener.note(f"Report:  {what}")

    def close(self) -> None:
        """Ends the process that draws, if it waits for nothing any more."""
        if self._painter is not None:
            self._painter.close()


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
