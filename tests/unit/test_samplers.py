"""What samplers are told of trials that were stopped."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import GPSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from yolotune.config.settings import Settings
from yolotune.search.samplers import foretold, make_sampler, propose

SPACE = {"x": FloatDistribution(0.0, 1.0)}


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


def values(trials: Sequence[FrozenTrial], direction: StudyDirection = StudyDirection.MAXIMIZE) -> list[float]:
    told = foretold(trials, direction)
    assert all(one.state is TrialState.COMPLETE for one in told)
    return [float(one.value) for one in told if one.value is not None]


def test_a_stopped_trial_grows_as_the_median_of_those_that_trained_on() -> None:
    """From epoch 2 on they grow twofold, threefold and fourfold."""
    full = [completed(0.2, 0.1, 0.4), completed(0.1, 0.1, 0.3), completed(0.1, 0.1, 0.4)]
    assert values([*full, pruned(0.1, 0.02)]) == pytest.approx([0.4, 0.3, 0.4, 0.3])


def test_it_never_becomes_better_than_the_best_that_trained_to_the_end() -> None:
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


def test_gp_learns_from_stopped_trials_that_optunas_own_would_ignore() -> None:
    """The nearer to 0.3, the better; not one trial has trained to the end."""
    study = optuna.create_study(direction="maximize")
    places = [number / 20 for number in range(20)]
    study.add_trials([pruned(1 - abs(x - 0.3), x=x) for x in places])
    by_gp = [propose(study, SPACE, sampler(number, "gp"))["x"] for number in range(5)]
    assert all(abs(x - 0.3) < 0.1 for x in by_gp)
    ignored = [ask_plainly(study, GPSampler(seed=number)) for number in range(5)]
    assert any(abs(x - 0.3) > 0.2 for x in ignored)


def test_proposals_know_who_trains_at_the_moment() -> None:
    """Beside a trial that runs at the peak there is less to learn, so others are tried."""
    study = optuna.create_study(direction="maximize")
    study.add_trials([completed(1 - abs(number / 20 - 0.3), x=number / 20) for number in range(20)])
    alone = propose(study, SPACE, sampler(1, "gp"))["x"]
    study.add_trial(create_trial(state=TrialState.RUNNING, params={"x": alone}, distributions=SPACE))
    assert propose(study, SPACE, sampler(1, "gp"))["x"] != alone


def sampler(number: int, search: str) -> optuna.samplers.BaseSampler:
    return make_sampler(Settings(data="d.yaml", search=search), number)


def ask_plainly(study: optuna.Study, own: GPSampler) -> float:
    """Returns what a sampler proposes to a copy of a study."""
    copied = optuna.create_study(direction=study.direction, sampler=own)
    copied.add_trials(study.get_trials())
    return float(copied.ask(SPACE).params["x"])


def test_samplers_by_name() -> None:
    assert isinstance(sampler(0, "gp"), GPSampler) and isinstance(sampler(0, "random"), RandomSampler)
    assert sampler(0, "tpe-multivariate")._multivariate and not sampler(0, "tpe")._multivariate  # type: ignore[attr-defined]
