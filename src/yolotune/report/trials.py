"""What the page asks of trials: their curves, their order, and which of many are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from yolotune.metrics import LEAST_F1, LEVELS, best_epoch, is_finite, overfitting, overfitting_level
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.record.verdict import FINISHED, Verdict

#: Trials that one chart shows at most: what SVG draws without a pause, and an eye can still tell apart.
SHOWN = 240
#: In place of the verdict of a trial that has none.
RUNNING = "running"
#: Trials with these verdicts trained as long as they were worth; the value of others was cut short.
TRAINED_IN_FULL = frozenset({Verdict.COMPLETED, Verdict.PLATEAUED})
#: Trials with these verdicts have no value that can be used.
BROKEN = frozenset({Verdict.DIVERGED, Verdict.OOM, Verdict.FAILED})


def verdict_of(trial: TrialRecord) -> str:
    """Returns a trial's verdict, or `running`."""
    return str(trial.verdict or RUNNING)


def reason_of(trial: TrialRecord) -> str:
    """Returns why a trial ended."""
    return trial.ending.reason if trial.ending else "no verdict yet"


def finished(record: StudyRecord) -> list[TrialRecord]:
    """Returns the trials whose value stands, pruned ones among them."""
    return [trial for trial in record.trials if trial.verdict in FINISHED and trial.value is not None]


def ranked(trials: Iterable[TrialRecord], mode: str) -> list[TrialRecord]:
    """Returns the trials that have a value, best first."""
    valued = [(trial.value, trial) for trial in trials if trial.value is not None]
    return [trial for _, trial in sorted(valued, key=lambda pair: pair[0], reverse=mode == "max")]


def curve(trial: TrialRecord, metric: str) -> list[tuple[int, float]]:
    """Returns epoch and value of every epoch report in which the metric is a finite number."""
    return [(int(row["epoch"]), float(row[metric])) for row in trial.epochs if is_finite(row.get(metric))]


def seconds_of(trial: TrialRecord) -> float:
    """Returns the seconds that a trial trained."""
    return sum(float(row["seconds"]) for row in trial.epochs if is_finite(row.get("seconds")))


def value_so_far(trial: TrialRecord, record: StudyRecord) -> float | None:
    """Returns a trial's value, or that of its best epoch while it runs."""
    if trial.value is not None or trial.ending is not None:
        return trial.value
    best = best_epoch(trial.epochs, record.metric, record.mode)
    return best[1] if best else None


def best_report(trial: TrialRecord) -> Mapping[str, Any]:
    """Returns the report of a trial's best epoch; empty if there is none."""
    return next((row for row in trial.epochs if row["epoch"] == trial.best_epoch), {})


def overfitting_gaps(record: StudyRecord) -> dict[int, float]:
    """Returns train F1 less val F1 at the best epoch, by number of the trials that reported both and learned."""
    found = {trial.number: overfitting(best_report(trial)) for trial in record.trials}
    return {number: gap["overfitting/gap"] for number, gap in found.items() if gap}


def unlearned(record: StudyRecord) -> list[int]:
    """Returns the numbers of the trials whose best epoch finds next to nothing, on train as on val."""
    found = []
    for trial in record.trials:
        row = best_report(trial)
        scores = row.get("train_seg_metrics/F1"), row.get("seg_metrics/F1")
        if all(is_finite(score) and score < LEAST_F1 for score in scores):
            found.append(trial.number)
    return found


def level_counts(gaps: Mapping[int, float]) -> list[str]:
    """Returns how many gaps have each level: `12 good`, `3 warning`, `0 severe`."""
    levels = [overfitting_level(gap) for gap in gaps.values()]
    return [f"{levels.count(level)} {level}" for level in LEVELS]


def drawn_trials(record: StudyRecord) -> list[TrialRecord]:
    """Returns the trials that charts show: all, or of more than `SHOWN` trial 0, the best half and a sample.

    The sample is taken evenly over the study, so that no part of it is missing.
    """
    trials = record.trials
    if len(trials) <= SHOWN:
        return trials
    kept = {trials[0].number, *(trial.number for trial in ranked(trials, record.mode)[: SHOWN // 2])}
    others = [trial for trial in trials if trial.number not in kept]
    room = SHOWN - len(kept)
    kept |= {others[place * len(others) // room].number for place in range(room)}
    return [trial for trial in trials if trial.number in kept]


def drawn_with(record: StudyRecord, names: Sequence[str]) -> list[TrialRecord]:
    """Returns the drawn trials that have a value and all the named hyperparameters."""
    return [
        trial
        for trial in drawn_trials(record)
        if trial.value is not None and all(name in trial.point for name in names)
    ]
