"""Where a recorded study is now: what `yolotune status` shows, and its JSON for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from yolotune.record.folder import Holder
from yolotune.record.provenance import Provenance
from yolotune.record.slots import read_slots
from yolotune.record.study import StudyRecord
from yolotune.record.verdict import Verdict
from yolotune.report.tally import Summary, Tally

#: Version of the shape of `document`; it grows when a key is removed or changes its meaning.
SCHEMA = 1


def summarize(record: StudyRecord, *, running: bool) -> Summary:
    """Returns where a recorded study is now.

    Args:
        record: The study.
        running: Whether a process works on it.
    """
    tally = Tally(record.settings)
    for trial in record.trials:
        tally.recorded(trial, running=running)
    for change in read_slots(record.folder):
        tally.slots_changed(change.open)
    summary = tally.summary()
    return summary if running else replace(summary, seconds_left=None, rungs=())


def document(record: StudyRecord, summary: Summary, holder: Holder | None) -> dict[str, Any]:
    """Returns what `yolotune status --json` prints; docs/watching.md describes it key by key.

    Args:
        record: The study.
        summary: Of `summarize`.
        holder: The process that works on it; None for none.
    """
    return {
        "schema": SCHEMA,
        "folder": str(record.folder.resolve()),
        "objective": record.settings.objective,
        "mode": record.mode,
        "process": asdict(holder) if holder else None,
        "trials": _trials(summary),
        "epochs": {
            "full": record.settings.epochs,
            "trained": summary.epochs_trained,
            "saved": summary.epochs_saved,
            "expected": summary.expected,
            "budget": summary.budget,
        },
        "slots": [asdict(change) for change in read_slots(record.folder)],
        "warm_from": [_warm_from(one) for one in record.warm_from],
        "best": asdict(summary.best) if summary.best else None,
        "defaults": summary.defaults,
        "running": [asdict(trial) for trial in summary.running],
        "paused": [asdict(trial) for trial in summary.paused],
        "rungs": [asdict(rung) for rung in summary.rungs],
        "seconds_left": summary.seconds_left,
    }


def _trials(summary: Summary) -> Mapping[str, Any]:
    return {
        "planned": summary.planned,
        "ended": summary.ended,
        "running": len(summary.running),
        "paused": len(summary.paused),
        "unfinished": summary.unfinished,
        "verdicts": {str(verdict): summary.verdicts.get(verdict, 0) for verdict in Verdict},
    }


def _warm_from(one: Provenance) -> dict[str, Any]:
    """Returns where a point came from; `by` is as it was when there was another way for points to come."""
    return {**asdict(one), "by": "warm_start"}
