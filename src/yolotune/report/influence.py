"""Which hyperparameters mattered: PED-ANOVA over the record, held against what chance alone would give."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from typing import Any

from yolotune.config.settings import Settings
from yolotune.config.space import Domain
from yolotune.record.study import StudyRecord, TrialRecord, Verdict
from yolotune.report.facts import finished

#: Finished trials below which importance means nothing: the best tenth of them is one trial.
ENOUGH = 10
#: Trials that PED-ANOVA compares with the others at the least (its authors' advice), up to half of all.
TOP_TRIALS = 5
#: How often the values are shuffled among the trials, and which share of that counts as chance.
SHUFFLES, CHANCE = 40, 0.9
#: Trials that are judged at the most, taken evenly over a larger study, to stay within a second.
MOST = 400


@dataclass(frozen=True)
class Influence:
    """What PED-ANOVA found.

    Attributes:
        shares: Importance by hyperparameter, largest first; they add up to 1.
        chance: The largest share that values without any meaning reach, nine times in ten.
        trials: How many trials it rests on.
        cut: How many of them were pruned.
    """

    shares: dict[str, float]
    chance: float
    trials: int
    cut: int

    @property
    def strong(self) -> list[str]:
        """Hyperparameters that stand out from chance, strongest first."""
        return [name for name, share in self.shares.items() if share > self.chance]


def comparable(study: StudyRecord, settings: Settings) -> list[TrialRecord]:
    """Returns the finished trials whose point lies in the space of now; it may have changed between two resumes."""
    space = settings.domains
    return [
        trial
        for trial in finished(study)
        if trial.point.keys() == space.keys() and all(trial.point[name] in space[name] for name in space)
    ]


def influence(study: StudyRecord, settings: Settings) -> Influence | None:
    """Returns the importance of each hyperparameter for reaching the best values; None with too few trials.

    A pruned trial counts with the value it had when it was cut: it is known to be no better than that of its peers.

    Args:
        study: The record.
        settings: Its settings.
    """
    trials = comparable(study, settings)
    space = {name: domain for name, domain in settings.domains.items() if _varies(domain)}
    if len(trials) < ENOUGH or len(space) < 2:
        return None
    trials = [trials[place * len(trials) // MOST] for place in range(MOST)] if len(trials) > MOST else trials
    sign = -1.0 if study.mode == "max" else 1.0  # PED-ANOVA's own target is better when lower
    values = [sign * float(trial.value) for trial in trials if trial.value is not None]
    if len(set(values)) < 2:
        return None
    evaluate = _evaluator(trials, space, len(values))
    found = evaluate(values)
    total = sum(found.values())
    if total <= 0:
        return None
    draw = random.Random(0)
    largest = []
    for _ in range(SHUFFLES):
        draw.shuffle(values)
        largest.append(max(_shares(evaluate(values)).values()))
    shares = dict(sorted(_shares(found).items(), key=lambda item: -item[1]))
    cut = sum(trial.verdict is Verdict.PRUNED for trial in trials)
    return Influence(shares, sorted(largest)[int(CHANCE * SHUFFLES)], len(trials), cut)


def _varies(domain: Domain) -> bool:
    ends = domain.ends()
    return ends[0] != ends[-1]


def _shares(found: dict[str, float]) -> dict[str, float]:
    total = sum(found.values())
    return {name: value / total if total else 0.0 for name, value in found.items()}


def _evaluator(trials: list[TrialRecord], space: dict[str, Domain], count: int) -> Any:
    """Returns a function from values, one per trial, to importances; the Optuna study behind it is made once."""
    import optuna

    from yolotune.config.distributions import distribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = optuna.create_study(direction="minimize")
    distributions = {name: distribution(domain) for name, domain in space.items()}
    known.add_trials(
        optuna.trial.create_trial(
            params={name: trial.point[name] for name in space}, distributions=distributions, value=0.0
        )
        for trial in trials
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls the class experimental
        judge = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(0.1, TOP_TRIALS / count)))

    def evaluate(values: list[float]) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna reminds of what `target` means
            return judge.evaluate(known, list(space), target=lambda trial: values[trial.number])

    return evaluate
