"""Samplers by name, and what one that ignores pruned trials is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from yolotune.config.settings import Settings
from yolotune.errors import UserError
from yolotune.search import Optimizer, make_sampler, register_sampler, sampler_names, samplers
from yolotune.search.pruned_trials import WithPrunedTrials, completed_and_estimated

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}


def trial(state: TrialState, values: Sequence[float], x: float = 0.5) -> FrozenTrial:
    """Returns a trial with its values by epoch; a completed one is told with its highest."""
    return create_trial(
        state=state,
        value=max(values) if state is TrialState.COMPLETE else None,
        params={"x": x},
        distributions=SPACE,
        intermediate_values=dict(enumerate(values, start=1)),
    )


def completed(*values: float, x: float = 0.5) -> FrozenTrial:
    return trial(TrialState.COMPLETE, values, x)


def pruned(*values: float, x: float = 0.5) -> FrozenTrial:
    return trial(TrialState.PRUNED, values, x)


# --- by name -----------------------------------------------------------------------------------------------------


def test_samplers_by_name() -> None:
    assert sampler_names()[:6] == ["auto", "tpe", "tpe-multivariate", "gp", "random", "grid"]
    assert isinstance(make_sampler("gp", 0), WithPrunedTrials) and isinstance(make_sampler("random", 0), RandomSampler)
    tpe, several = make_sampler("tpe", 0), make_sampler("tpe-multivariate", 0)
    assert isinstance(tpe, TPESampler) and isinstance(several, TPESampler)
    assert several._multivariate and not tpe._multivariate


def test_a_sampler_of_ones_own_is_searched_with_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "_FACTORIES", dict(samplers._FACTORIES))
    seeds = []

    def quasi_random(seed: int) -> BaseSampler:
        seeds.append(seed)
        return RandomSampler(seed=seed)

    register_sampler("quasi-random", quasi_random)
    assert sampler_names()[-1] == "quasi-random"
    settings = Settings(data="d.yaml", space={"lr0": [0, 1]}, search="quasi-random", num_samples=3)
    drawn = [suggestion.point for suggestion in iter(Optimizer(settings, []).ask, None)]
    assert len(drawn) == len(set(seeds)) == 3, "a seed of its own for each trial"
    assert drawn == [suggestion.point for suggestion in iter(Optimizer(settings, []).ask, None)]


def test_a_name_that_nobody_registered_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"search: no sampler is called 'tpee'\. Did you mean tpe"):
        make_sampler("tpee", 0)


# --- pruned trials -----------------------------------------------------------------------------------------------


def values(trials: Sequence[FrozenTrial], direction: StudyDirection = StudyDirection.MAXIMIZE) -> list[float]:
    told = completed_and_estimated(trials, direction)
    assert all(one.state is TrialState.COMPLETE for one in told)
    return [float(one.value) for one in told if one.value is not None]


def test_a_pruned_trial_gains_as_the_median_of_those_that_completed() -> None:
    """From epoch 2 on they grow twofold, threefold and fourfold."""
    full = [completed(0.2, 0.1, 0.4), completed(0.1, 0.1, 0.3), completed(0.1, 0.1, 0.4)]
    assert values([*full, pruned(0.1, 0.02)]) == pytest.approx([0.4, 0.3, 0.4, 0.3])


def test_it_never_becomes_better_than_the_best_that_completed() -> None:
    assert values([completed(0.1, 0.4), pruned(0.2)]) == pytest.approx([0.4, 0.4])


def test_of_losses_the_lower_is_better() -> None:
    full = completed(4.0, 1.0)
    full.value = 1.0
    assert values([full, pruned(8.0)], StudyDirection.MINIMIZE) == pytest.approx([1.0, 2.0])
    assert values([full, pruned(2.0)], StudyDirection.MINIMIZE) == pytest.approx([1.0, 1.0])


def test_without_anything_to_go_by_it_keeps_what_it_had() -> None:
    assert values([pruned(0.1, 0.3)]) == [0.3]
    assert values([completed(0.0, 0.5), pruned(0.1)]) == pytest.approx([0.5, 0.1]), "nothing grows from zero"
    assert values([completed(0.1, 0.5), pruned(0.0)]) == pytest.approx([0.5, 0.0])
    failed = trial(TrialState.FAIL, [0.9])
    assert values([completed(0.1, 0.5), failed, trial(TrialState.PRUNED, [])]) == [0.5]


def study_of(trials: Sequence[FrozenTrial]) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return study


def suggested(trials: Sequence[FrozenTrial], sampler: BaseSampler) -> float:
    """Returns what a sampler suggests after trials."""
    study = study_of(trials)
    study.sampler = sampler
    return float(study.ask(SPACE).params["x"])


def test_gp_learns_from_pruned_trials_that_optunas_own_ignores() -> None:
    """The nearer to 0.3, the better; not one trial has completed."""
    trials = [pruned(1 - abs(number / 20 - 0.3), x=number / 20) for number in range(20)]
    by_gp = [suggested(trials, make_sampler("gp", seed)) for seed in range(3)]
    assert all(abs(x - 0.3) < 0.1 for x in by_gp)
    ignored = [suggested(trials, GPSampler(seed=seed)) for seed in range(3)]
    assert any(abs(x - 0.3) > 0.2 for x in ignored)


def test_where_none_was_pruned_it_suggests_what_optunas_own_does() -> None:
    trials = [completed(1 - abs(number / 12 - 0.3), x=number / 12) for number in range(12)]
    running = trial(TrialState.RUNNING, [0.5], x=0.4)
    for known in (trials, [*trials, running], trials[:3]):
        assert suggested(known, make_sampler("gp", 5)) == suggested(known, GPSampler(seed=5))


def test_it_knows_which_trials_run_at_the_moment() -> None:
    """Beside a trial that runs at the peak there is less to learn, so another point is suggested."""
    trials = [pruned(1 - abs(number / 20 - 0.3), x=number / 20) for number in range(20)]
    alone = suggested(trials, make_sampler("gp", 1))
    assert suggested([*trials, trial(TrialState.RUNNING, [], x=alone)], make_sampler("gp", 1)) != alone


def test_the_sampler_is_shown_the_whole_study_and_the_trial_it_samples_for() -> None:
    class Noting(RandomSampler):
        seen: tuple[list[str], int]

        def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
            self.seen = [one.state.name for one in study.trials], trial.number
            return {}

    sampler = Noting(seed=0)
    trials = [pruned(0.1), trial(TrialState.RUNNING, [0.2]), completed(0.3), trial(TrialState.FAIL, [0.4])]
    suggested(trials, WithPrunedTrials(sampler))
    assert sampler.seen == (["COMPLETE", "COMPLETE", "RUNNING", "RUNNING"], 3), "its own trial is the last"


def test_any_sampler_can_be_shown_pruned_trials() -> None:
    trials = [pruned(1 - abs(number / 20 - 0.3), x=number / 20) for number in range(20)]
    tpe = WithPrunedTrials(TPESampler(seed=0))
    assert abs(suggested(trials, tpe) - 0.3) < 0.2
    assert suggested([], WithPrunedTrials(RandomSampler(seed=0))) == suggested([], RandomSampler(seed=0))
