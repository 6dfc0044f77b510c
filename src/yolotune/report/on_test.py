"""What delivered models score on the test split, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolotune.metrics import DEFAULT_OBJECTIVE, SCORES, canonical
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.report.formatting import label, number, plural

#: What has been said of the split wherever a score on it stands.
UNSEEN = "it took part in no choice"


@dataclass(frozen=True)
class TestScore:
    """A score on the test split.

    Attributes:
        value: 0..1.
        error: One standard error from the number of labelled objects.
    """

    __test__ = False  # for pytest, which collects what is called so

    value: float
    error: float

    def __str__(self) -> str:
        return f"{number(self.value, 3)} ± {number(self.error, 3)}"


def compared_by(record: StudyRecord) -> str:
    """Returns the score that models are compared by on the test split: the objective, or the mask F1 where it is none.

    A loss and what a function computes are not measured there.
    """
    is_score = record.metric in SCORES and not record.metric.startswith("train")
    return record.metric if is_score else canonical(DEFAULT_OBJECTIVE)


def metric_name(record: StudyRecord) -> str:
    """Returns the name of that score as the lines of a terminal name the objective."""
    metric = compared_by(record)
    return record.settings.objective if metric == record.metric else metric


def on_test(record: StudyRecord, trial: TrialRecord | None) -> TestScore | None:
    """Returns what the model of a trial scores; None where it was not scored."""
    known = record.on_test
    scores = known.of(trial) if known and trial else None
    if known is None or not scores or compared_by(record) not in scores:
        return None
    return TestScore(scores[compared_by(record)], sampling_error(scores[compared_by(record)], known.objects))


def sampling_error(score: float, objects: int) -> float:
    """Returns one standard error of a score 0..1 that is measured on so many labelled objects."""
    return math.sqrt(score * (1 - score) / objects)


def split_in_words(record: StudyRecord) -> str:
    """Returns `12 images, 80 objects` of the test split."""
    known = record.on_test
    return "" if known is None else f"{plural(known.images, 'image')}, {plural(known.objects, 'object')}"


def sentence(record: StudyRecord, trial: TrialRecord | None, *, metric: str = "") -> str:
    """Returns what the model of a trial scores on the test split, beside the defaults; nothing where it was not scored.

    Args:
        record: Of the study.
        trial: The one that is delivered.
        metric: The name of the metric where the sentence stands; as on the page if not given.
    """
    found = on_test(record, trial)
    if found is None or trial is None:
        return ""
    said = metric or label(compared_by(record)).split(",")[0]
    whose = "the model" if record.origin else f"trial {trial.number}"
    text = f"On the test split ({split_in_words(record)}; {UNSEEN}) {whose} reaches {said} {found}"
    others = () if record.origin else record.trials  # trial 0 of a retrain is another seed of the same point
    other = on_test(record, next((one for one in others if one.number == 0 and one is not trial), None))
    return f"{text}, the defaults {other} (one standard error)." if other else f"{text} (one standard error)."
