"""What every study goes through once it is checked: its folder is taken, its trials run, its page is written."""

from __future__ import annotations

from pathlib import Path

from yolotune.record.folders import new_folder
from yolotune.record.lock import owned
from yolotune.record.study import StudyRecord
from yolotune.report.page import write_report
from yolotune.tracking import redact
from yolotune.tuner import runner
from yolotune.tuner.events import Listener
from yolotune.tuner.plan import Plan


def run_plan(plan: Plan, listener: Listener, before: StudyRecord | None = None) -> StudyRecord:
    """Runs a checked study to its end and returns its record.

    Args:
        plan: What to run.
        listener: Who is told what happens.
        before: The record of a study that is resumed; None starts a new one.

    Raises:
        UserError: Another process works on this study.
        StudyFailed: No trial has a value, every trial fails for the same reason, or Ray broke.
        KeyboardInterrupt: Ctrl-C or SIGTERM; running trials left after their epoch, and the study can be resumed.
    """
    folder = before.folder if before else plan.folder or new_folder(plan.settings)
    with owned(folder):
        result = runner.run(plan, folder, listener, before)
        _write_report(folder, listener, photos=not result.interrupted)  # who stops a study does not wait for them
    return result.checked()


def _write_report(folder: Path, listener: Listener, *, photos: bool) -> None:
    """Writes the study's page; whatever is wrong with that, the study is complete without it."""
    try:
        listener.report_written(write_report(folder, photos=photos, redact=redact))
    except Exception as error:  # it draws with many libraries, and none of them may cost a result
        listener.note(f"Report:  not written ({type(error).__name__}: {error}). Again: yolotune report {folder}")
