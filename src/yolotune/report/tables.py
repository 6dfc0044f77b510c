"""The tables of the page: the best point, all trials, rungs, failures, settings, versions. Cells are plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.metrics import overfitting_level
from yolotune.record.by_class import f1_by_class
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.record.verdict import Verdict
from yolotune.report.formatting import NO_VALUE, duration, label, listed, number, value_text
from yolotune.report.results import Results
from yolotune.report.style import GLYPHS
from yolotune.report.trials import reason_of, seconds_of, value_so_far, verdict_of

#: Class names shown of a dataset with many.
NAMES_SHOWN = 200
#: In place of a level of overfitting.
UNLEARNED = "learned nothing"
#: Lines and characters shown of the end of a trial's error.txt.
ERROR_LINES, ERROR_CHARACTERS = 14, 4000


@dataclass(frozen=True)
class Column:
    """A column of the table of trials; one of numbers is set to the right."""

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """A trial's row: its cells, and the verdict with its mark."""

    number: int
    verdict: str
    glyph: str
    cells: list[str]
    best: bool


def trial_table(results: Results) -> tuple[list[Column], list[Row]]:
    """Returns the columns after `trial` and `verdict`, and a row for each trial, by number."""
    record = results.record
    names = list(dict.fromkeys([*results.settings.domains, *(name for trial in record.trials for name in trial.point)]))
    is_warm = any(record.known_from(trial.point) for trial in record.trials)
    columns = [Column(label(record.metric)), Column("over trial 0"), Column("best epoch"), Column("epochs")]
    columns += [Column("time"), Column("gap"), Column("overfitting", False), *map(Column, names)]
    columns += [Column("why it ended", False), *([Column("point of", False)] if is_warm else [])]
    rows = []
    for trial in record.trials:
        values = [value_text(trial.effective.get(name, trial.point.get(name))) for name in names]
        origin = [str(record.known_from(trial.point) or NO_VALUE)] if is_warm else []
        cells = [*_numbers(results, trial), *values, _reason(trial), *origin]
        verdict = verdict_of(trial)
        rows.append(Row(trial.number, verdict, GLYPHS[verdict], cells, trial is results.best))
    return columns, rows


def _numbers(results: Results, trial: TrialRecord) -> list[str]:
    """Returns the cells of a trial from its value to its overfitting."""
    value, gap = value_so_far(trial, results.record), results.gaps.get(trial.number)
    zero = results.defaults.value if results.defaults else None
    return [
        number(value),
        NO_VALUE if value is None or zero is None else f"{value - zero:+.4f}",
        str(trial.best_epoch or NO_VALUE),
        str(len(trial.epochs)),
        f"{seconds_of(trial):.0f} s",
        NO_VALUE if gap is None else f"{gap:+.3f}",
        overfitting_level(gap) if gap is not None else UNLEARNED if trial.number in results.unlearned else NO_VALUE,
    ]


def _reason(trial: TrialRecord) -> str:
    """Returns why a trial ended, and which arguments became others, such as a batch halved by a lack of memory."""
    changed = [f"{name} {trial.point.get(name, '?')} became {value}" for name, value in trial.effective.items()]
    return f"{reason_of(trial)}; {listed(changed)}" if changed else reason_of(trial)


@dataclass(frozen=True)
class Pair:
    """A hyperparameter of the best point beside that of trial 0, and its distribution."""

    name: str
    best: str
    defaults: str
    domain: str


def best_point(results: Results) -> list[Pair]:
    """Returns the best point, hyperparameter by hyperparameter, beside the defaults."""
    best, space = results.best, results.settings.domains
    if best is None:
        return []
    defaults = results.defaults.point if results.defaults else {}
    return [
        Pair(name, value_text(value), value_text(defaults.get(name)), str(space[name]) if name in space else "")
        for name, value in best.point.items()
    ]


@dataclass(frozen=True)
class ClassRow:
    """F1 of one class: of the best trial, of trial 0, and the difference."""

    name: str
    best: str
    defaults: str
    difference: str


def class_table(results: Results) -> list[ClassRow]:
    """Returns F1 by class of the best trial beside trial 0; empty with one class, and where the record has none."""
    if results.best is None:
        return []
    best = f1_by_class(results.best)
    defaults = f1_by_class(results.defaults) if results.defaults else {}
    return [
        ClassRow(
            name,
            number(value, 3),
            number(defaults.get(name), 3),
            f"{value - defaults[name]:+.3f}" if name in defaults else NO_VALUE,
        )
        for name, value in best.items()
        if len(best) > 1
    ]


@dataclass(frozen=True)
class RungRow:
    """A rung in numbers."""

    bracket: int
    epoch: int
    met: int
    cut: int
    best: str
    worst_kept: str


def rung_table(results: Results) -> list[RungRow]:
    """Returns how many trials met at each rung, how many were cut, and the best and worst value that went on."""
    rows = []
    for rung in results.rungs:
        kept = [value for trial, value in rung.scores.items() if trial not in rung.cut]
        values = list(rung.scores.values())
        worst = number(kept[-1]) if kept else NO_VALUE
        rows.append(RungRow(rung.bracket + 1, rung.epoch, len(values), len(rung.cut), number(values[0]), worst))
    return rows


@dataclass(frozen=True)
class Failure:
    """A trial that failed, was interrupted, or trained with other arguments than its point says."""

    number: int
    verdict: str
    glyph: str
    reason: str
    epochs: int
    trace: str


def failures(results: Results) -> list[Failure]:
    """Returns the trials that failed, were interrupted, or trained with other arguments, by number."""
    found = []
    failed = {trial.number for trial in results.failed}
    for trial in results.record.trials:
        if trial.number in failed or trial.verdict is Verdict.INTERRUPTED or trial.effective:
            verdict = verdict_of(trial)
            trace = _end_of(trial.folder / "error.txt") if trial.number in failed else ""
            found.append(Failure(trial.number, verdict, GLYPHS[verdict], _reason(trial), len(trial.epochs), trace))
    return found


def _end_of(path: Path) -> str:
    """Returns the last lines of a file; empty if it is not there."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-ERROR_LINES:])[-ERROR_CHARACTERS:]


def settings_rows(record: StudyRecord) -> list[tuple[str, str]]:
    """Returns the settings, nested ones with dots, and what study.yaml has beside them."""
    rows: list[tuple[str, str]] = []
    for key, value in record.settings.model_dump().items():
        if isinstance(value, Mapping) and value:
            rows += [(f"{key}.{inner}", value_text(item)) for inner, item in value.items()]
        else:
            rows.append((key, value_text(value)))
    return [*rows, ("uid", record.uid)]


def environment_rows(results: Results) -> list[tuple[str, str]]:
    """Returns versions, machine, code and dataset; empty where environment.json is missing."""
    read = results.environment
    data = read.get("dataset") or {}
    versions = read.get("versions") or {}
    rows = [
        ("started", read.get("started")),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
        ("python", read.get("python")),
        ("machine", read.get("machine")),
        ("GPUs", ", ".join(map(str, read.get("gpus") or [])) or "none"),
        ("code", read.get("git") or "no repository"),
        ("dataset", data.get("yaml")),
        ("fingerprint", data.get("fingerprint")),
        ("images", _counts(data.get("images"))),
        ("labelled objects", _counts(data.get("instances"))),
        ("classes", _classes(data.get("names") or {})),
        ("training time", duration(results.seconds) if results.seconds else None),
    ]
    rows += [("note", note) for note in read.get("notes") or []]
    return [(name, str(value)) for name, value in rows if value] if read else []


def _counts(counts: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in (counts or {}).items())


def _classes(names: Mapping[str, Any]) -> str:
    """Returns how many classes there are and their names, of many only the first."""
    shown = ", ".join(str(name) for name in list(names.values())[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{len(names)}: {shown}{f' and {more} more' if more > 0 else ''}" if names else ""
