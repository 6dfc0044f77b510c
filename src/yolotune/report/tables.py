"""The tables of a report: the best point, all trials, what failed, settings and versions. Cells are plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yolotune.config.space import Space
from yolotune.record.study import TrialRecord, Verdict
from yolotune.report.charts import GLYPHS, label, number, verdict_of
from yolotune.report.facts import Facts, value_of
from yolotune.report.ladder import Rung
from yolotune.report.outcome import duration
from yolotune.report.story import changed_arguments, trial_tail
from yolotune.search.provenance import known_from
from yolotune.tracking.wandb import overfitting_level

#: Class names shown of a dataset with many.
NAMES_SHOWN = 200


@dataclass(frozen=True)
class Column:
    """A column of the table of trials; numbers are set to the right and sorted as numbers."""

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """A trial's row: its cells, and the verdict that its mark shows."""

    number: int
    verdict: str
    glyph: str
    cells: list[str]
    best: bool


def trial_table(facts: Facts, space: Space, gaps: Mapping[int, float]) -> tuple[list[Column], list[Row]]:
    """Returns columns and rows of all trials, by number; the columns after `trial` and `verdict`.

    Args:
        facts: Of the study.
        space: Names the columns of hyperparameters; a point may have others, which come after them.
        gaps: Train F1 less val F1 by trial number.
    """
    names = list(dict.fromkeys([*space, *(name for trial in facts.study.trials for name in trial.point)]))
    zero = facts.defaults.value if facts.defaults else None
    columns = [Column(label(facts.study.metric)), Column("over trial 0"), Column("best epoch"), Column("epochs")]
    columns += [Column("time"), Column("gap"), Column("overfitting", False)]
    columns += [Column(name) for name in names] + [Column("why it ended", False)]
    warm = any(known_from(trial.point, facts.study.settings) for trial in facts.study.trials)
    columns += [Column("point of", False)] if warm else []
    rows = []
    for trial in facts.study.trials:
        value = value_of(trial, facts.study)
        gap = gaps.get(trial.number)
        seconds = sum(row.get("seconds") or 0.0 for row in trial.epochs)
        cells = [
            number(value),
            "–" if value is None or zero is None else f"{value - zero:+.4f}",
            str(trial.best_epoch or "–"),
            str(len(trial.epochs)),
            f"{seconds:.0f} s",
            "–" if gap is None else f"{gap:+.3f}",
            "–" if gap is None else overfitting_level(gap),
            *(shown(trial.effective.get(name, trial.point.get(name))) for name in names),
            _reason(trial),
            *([str(known_from(trial.point, facts.study.settings) or "–")] if warm else []),
        ]
        word = verdict_of(trial)
        rows.append(Row(trial.number, word, GLYPHS[word], cells, trial is facts.best))
    return columns, rows


def _reason(trial: TrialRecord) -> str:
    changed = changed_arguments(trial)
    reason = trial.ending.reason if trial.ending else "no verdict yet"
    return f"{reason}; {changed}" if changed else reason


@dataclass(frozen=True)
class Pair:
    """A hyperparameter of the best point beside that of trial 0."""

    name: str
    best: str
    defaults: str
    domain: str


def best_point(facts: Facts, space: Space) -> list[Pair]:
    """Returns the best point, hyperparameter by hyperparameter, beside the defaults."""
    best, zero = facts.best, facts.defaults
    if best is None:
        return []
    defaults = zero.point if zero else {}
    return [
        Pair(name, shown(value), shown(defaults.get(name)), str(space[name]) if name in space else "")
        for name, value in best.point.items()
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


def rung_table(rungs: list[Rung]) -> list[RungRow]:
    """Returns how many met at each rung, how many were cut, and the range of values that went on."""
    rows = []
    for rung in rungs:
        kept = [value for name, value in rung.scores.items() if name not in rung.cut]
        values = list(rung.scores.values())
        worst = number(kept[-1]) if kept else "–"
        rows.append(RungRow(rung.bracket + 1, rung.epoch, len(values), len(rung.cut), number(values[0]), worst))
    return rows


@dataclass(frozen=True)
class Failure:
    """A trial that broke, was interrupted, or trained with other arguments than asked."""

    number: int
    verdict: str
    glyph: str
    reason: str
    epochs: int
    trace: str


def failures(facts: Facts) -> list[Failure]:
    """Returns what failed, and what became something else than asked, by number of trial."""
    found = []
    broken = {trial.number for trial in facts.failed}
    for trial in facts.study.trials:
        if trial.number not in broken and trial.verdict is not Verdict.INTERRUPTED and not trial.effective:
            continue
        word = verdict_of(trial)
        trace = trial_tail(trial.folder / "error.txt") if trial.number in broken else ""
        found.append(Failure(trial.number, word, GLYPHS[word], _reason(trial), len(trial.epochs), trace))
    return found


def settings_rows(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the settings as they stand in study.yaml, nested ones with dots."""
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            rows += [(f"{key}.{inner}", shown(item)) for inner, item in value.items()]
        else:
            rows.append((key, shown(value)))
    return rows


def environment_rows(facts: Facts) -> list[tuple[str, str]]:
    """Returns versions, machine, code and dataset; nothing where environment.json is not there."""
    told = facts.environment
    data = told.get("dataset") or {}
    versions = told.get("versions") or {}
    names = [str(name) for name in (data.get("names") or {}).values()]
    classes = ", ".join(names[:NAMES_SHOWN])
    if len(names) > NAMES_SHOWN:
        classes += f" and {len(names) - NAMES_SHOWN} more"
    rows = [
        ("started", told.get("started")),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
        ("python", told.get("python")),
        ("machine", told.get("machine")),
        ("GPUs", ", ".join(map(str, told.get("gpus") or [])) or "none"),
        ("code", told.get("git") or "no repository"),
        ("dataset", data.get("yaml")),
        ("fingerprint", data.get("fingerprint")),
        ("images", _counts(data.get("images"))),
        ("labelled objects", _counts(data.get("instances"))),
        ("classes", f"{len(names)}: {classes}" if names else None),
        ("training time", duration(facts.seconds) if facts.seconds else None),
    ]
    rows += [("note", note) for note in told.get("notes") or []]
    return [(name, str(value)) for name, value in rows if value] if told else []


def _counts(counts: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in (counts or {}).items())


def shown(value: Any) -> str:
    """Returns a setting or hyperparameter as text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) or "none"
    return str(value)
