"""Which hyperparameters matter: PED-ANOVA over the finished trials, compared to what chance alone would give."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from yolotune.config.space import Domain
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.record.verdict import Verdict
from yolotune.report.trials import finished

#: With fewer finished trials there is no importance: the best tenth of them is one trial.
ENOUGH = 10
#: PED-ANOVA compares the best tenth with the others, but at least so many trials (its authors' advice), at most half.
TOP_TRIALS = 5
#: How often the values are shuffled among the trials, and below which share of these results chance ends.
SHUFFLES, CHANCE = 40, 0.9
#: Of more trials so many are taken, evenly over the study, to stay within a second.
MOST = 400


@dataclass(frozen=True)
class Importance:
    """What PED-ANOVA found.

    Attributes:
        shares: Importance by hyperparameter, largest first; they add up to 1.
        chance: The largest share that meaningless values reach, nine times in ten.
        trials: How many trials it rests on.
        pruned: How many of them were pruned.
    """

    shares: dict[str, float]
    chance: float
    trials: int
    pruned: int

    @property
    def strong(self) -> list[str]:
        """Hyperparameters whose importance is larger than chance, largest first."""
        return [name for name, share in self.shares.items() if share > self.chance]


def importance(record: StudyRecord) -> Importance | None:
    """Returns how important each hyperparameter is for reaching the best values; None with too few trials.

    A pruned trial counts with the value it had when it was pruned: it is known to be no better than others at its rung.
    """
    space = {name: domain for name, domain in record.settings.domains.items() if _varies(domain)}
    trials = _comparable(record)
    if len(trials) < ENOUGH or len(space) < 2:
        return None
    if len(trials) > MOST:
        trials = [trials[place * len(trials) // MOST] for place in range(MOST)]
    sign = -1.0 if record.mode == "max" else 1.0  # PED-ANOVA's own target is better when lower
    values = [sign * float(trial.value) for trial in trials if trial.value is not None]
    if len(set(values)) < 2:
        return None
    evaluate = _evaluator(trials, space)
    found = evaluate(values)
    if sum(found.values()) <= 0:
        return None
    shares = dict(sorted(_shares(found).items(), key=lambda item: -item[1]))
    pruned = sum(trial.verdict is Verdict.PRUNED for trial in trials)
    return Importance(shares, _chance(evaluate, values), len(trials), pruned)


def _comparable(record: StudyRecord) -> list[TrialRecord]:
    """Returns the finished trials whose point lies in the space, which may have changed with a resume."""
    space = record.settings.domains
    return [
        trial
        for trial in finished(record)
        if trial.point.keys() == space.keys() and all(trial.point[name] in space[name] for name in space)
    ]


def _varies(domain: Domain) -> bool:
    ends = domain.ends()
    return ends[0] != ends[-1]


def _shares(found: dict[str, float]) -> dict[str, float]:
    total = sum(found.values())
    return {name: value / total if total else 0.0 for name, value in found.items()}


Evaluate = Callable[[list[float]], dict[str, float]]


def _chance(evaluate: Evaluate, values: list[float]) -> float:
    """Returns the largest share that a hyperparameter reaches with shuffled values, nine times in ten."""
    rng = random.Random(0)
    shuffled = list(values)
    largest = []
    for _ in range(SHUFFLES):
        rng.shuffle(shuffled)
        largest.append(max(_shares(evaluate(shuffled)).values()))
    return sorted(largest)[int(CHANCE * SHUFFLES)]


def _evaluator(trials: list[TrialRecord], space: dict[str, Domain]) -> Evaluate:
    """Returns a function from values, one for each trial, to importances. The Optuna study behind it is made once."""
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
    quantile = min(0.5, max(0.1, TOP_TRIALS / len(trials)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls the class experimental
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)

    def evaluate(values: list[float]) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna reminds of what `target` means
            return evaluator.evaluate(known, list(space), target=lambda trial: values[trial.number])

    return evaluate
