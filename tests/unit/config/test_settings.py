"""Settings: what follows from them, and mistakes told all at once."""

from __future__ import annotations

from typing import Any

import pytest

from yolotune.config.base import epochs_of
from yolotune.config.budget import Budget
from yolotune.config.layers import make_settings
from yolotune.config.scheduling import (
    AshaSettings,
    HalvingSettings,
    NoScheduler,
    SchedulerSettings,
    read_scheduler,
)
from yolotune.config.settings import Settings, is_known, recorded_settings
from yolotune.config.space import Uniform
from yolotune.errors import UserError


def problems_of(**given: Any) -> dict[str, str]:
    with pytest.raises(UserError) as caught:
        make_settings(**given)
    return {problem.where: f"{problem.what} {problem.fix}" for problem in caught.value.problems}


# --- what follows ------------------------------------------------------------------------------------------------


def test_distributions_from_python_are_kept_in_words() -> None:
    settings = make_settings(data="d.yaml", space={"lr0": Uniform(1e-5, 0.0123456789, log=True)})
    assert settings.model_dump()["space"] == {"lr0": "loguniform(1e-05, 0.0123456789)"}
    assert settings.domains == {"lr0": Uniform(1e-5, 0.0123456789, log=True)}


@pytest.mark.parametrize(
    ("amount", "epochs", "expected"),
    [(25, 250, 25), (0.1, 250, 25), (0.1, 5, 1), (0.01, 10, 1), (1, 250, 1), (0.3, 25, 8), (10.0, 5, 10)],
)
def test_below_one_an_amount_is_a_share_of_the_epochs(amount: float, epochs: int, expected: int) -> None:
    assert epochs_of(amount, epochs) == expected


@pytest.mark.parametrize("epochs", [1, 2, 5, 12, 30, 250])
def test_close_mosaic_is_a_share_of_the_epochs_that_leaves_some(epochs: int) -> None:
    closes = make_settings(data="d.yaml", epochs=epochs).fixed["close_mosaic"]
    assert isinstance(closes, int) and 0 <= closes < epochs


def test_close_mosaic_in_epochs_stays_as_it_is() -> None:
    assert make_settings(data="d.yaml", train={"close_mosaic": 10}).fixed["close_mosaic"] == 10


def test_the_direction_is_known_from_the_objective_unless_it_is_given() -> None:
    assert make_settings(data="d.yaml", objective="val/seg_loss").direction == "min"
    assert make_settings(data="d.yaml", objective="val/seg_loss", mode="max").direction == "max"


def test_what_is_not_resolved_yet_has_no_number_of_trials() -> None:
    with pytest.raises(ValueError, match="num_samples is None"):
        _ = make_settings(data="d.yaml").trials
    assert make_settings(data="d.yaml", num_samples=7).trials == 7


def test_without_a_budget_there_is_no_limit() -> None:
    assert not make_settings(data="d.yaml").cost_limit.given
    assert make_settings(data="d.yaml", budget=3000).cost_limit == Budget(epochs=3000)


# --- the scheduler, a tagged choice ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("asha", AshaSettings()),
        ({"name": "halving", "batch": 6}, HalvingSettings(batch=6)),
        (AshaSettings(brackets=3), AshaSettings(brackets=3)),
        (None, NoScheduler()),
        (False, NoScheduler()),
    ],
)
def test_a_scheduler_is_a_name_a_map_or_an_object(given: Any, expected: SchedulerSettings) -> None:
    assert read_scheduler(given) == expected
    assert Settings(data="d.yaml", space={}, scheduler=given).scheduler == expected


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ("ashaa", "scheduler", "no scheduler is called 'ashaa'. Did you mean asha?"),
        (5, "scheduler", "expected a name, or a map with one"),
        ({"grace_period": 5}, "scheduler", "expected a name, or a map with one"),
        ({"name": "halving", "brackets": 2}, "scheduler.brackets", "halving takes no brackets. leave it out; schedu"),
        ({"name": "asha", "grace_perod": 2}, "scheduler.grace_perod", "Did you mean grace_period?"),
        ({"name": "none", "batch": 2}, "scheduler.batch", "none takes no batch. leave it out; scheduler halving takes"),
        ({"name": "asha", "reduction_factor": 1}, "scheduler.reduction_factor", "greater than 1"),
        ({"name": "asha", "rank": "worst"}, "scheduler.rank", "'best', 'current' or 'signals'"),
    ],
)
def test_a_number_that_a_scheduler_does_not_take_is_named(given: Any, where: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_scheduler(given)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert said in f"{problem.what} {problem.fix}"


def test_a_recorded_scheduler_that_is_not_registered_here_is_read_as_it_is() -> None:
    settings = recorded_settings({"data": "d.yaml", "space": {}, "scheduler": {"name": "median", "warmup": 4}})
    assert settings.scheduler.model_dump() == {"name": "median", "warmup": 4}
    assert settings.scheduler.summary(30) == "median, warmup 4"
    assert not is_known(settings.scheduler) and is_known(AshaSettings())


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        (AshaSettings(), "ASHA from epoch 15, by early signals"),
        (AshaSettings(reduction_factor=2, rank="best", brackets=2), "ASHA from epoch 15, factor 2, 2 brackets"),
        (
            HalvingSettings(grace_period=5, reduction_factor=3),
            "halving in batches of 9 from epoch 5, factor 3, by early signals",
        ),
        (NoScheduler(), ""),
    ],
)
def test_a_scheduler_says_in_a_few_words_what_it_does(scheduler: SchedulerSettings, said: str) -> None:
    assert scheduler.summary(100) == said


# --- mistakes ----------------------------------------------------------------------------------------------------


def test_several_mistakes_are_reported_at_once_with_hints() -> None:
    problems = problems_of(
        dta="d.yaml",
        epochs=0,
        effort="heroic",
        budget="much",
        scheduler={"grace_perod": 5, "reduction_factor": 1},
        plateau={"metric": "train_seg_metrics/F2", "stdd": 1},
        objective="metrics/F1",
    )
    assert problems.keys() == {
        "data",
        "dta",
        "epochs",
        "effort",
        "budget",
        "scheduler.grace_perod",
        "scheduler.reduction_factor",
        "plateau.metric",
        "plateau.stdd",
        "objective",
    }
    assert "Did you mean data?" in problems["dta"]
    assert "Did you mean grace_period?" in problems["scheduler.grace_perod"]
    assert "Did you mean train_seg_metrics/F1?" in problems["plateau.metric"]
    assert "Did you mean std?" in problems["plateau.stdd"]
    assert problems["data"] == "is missing. give --data path/to/data.yaml."


def test_a_setting_of_before_is_named_with_the_one_of_now() -> None:
    assert "Did you mean budget?" in problems_of(data="d.yaml", time_budget="8h")["time_budget"]
    assert "scheduler: {name: asha, grace_period: ...}" in problems_of(data="d.yaml", asha={})["asha"]


def test_an_unknown_preset_is_one_mistake() -> None:
    assert problems_of(data="d.yaml", preset="guid").keys() == {"preset"}


def test_without_a_preset_a_space_is_needed() -> None:
    assert problems_of(data="d.yaml", preset="none").keys() == {"space"}
    assert make_settings(data="d.yaml", preset="none", space={"lr0": [0, 1]}).train == {}


@pytest.mark.parametrize(
    ("key", "value"), [("name", "-rf"), ("name", "a\nb"), ("project", "-x"), ("project", "\x1b[2J")]
)
def test_names_with_control_characters_or_a_leading_dash_are_refused(key: str, value: str) -> None:
    assert "without control characters" in problems_of(data="d.yaml", **{key: value})[key]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "/tmp"])
def test_a_name_is_a_plain_folder_name(name: str) -> None:
    assert "plain folder name" in problems_of(data="d.yaml", name=name)["name"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("space", None),
        ("space", 5),
        ("train", None),
        ("train", "cache"),
        ("scheduler", True),
        ("plateau", "no"),
        ("seed", 2**32),
        ("seed", -1),
        ("epochs", 2.5),
        ("gpus", float("inf")),
        ("concurrent", 0),
        ("concurrent", "many"),
        ("concurrent", 1.5),
        ("concurrent", True),
        ("device", [0, 1]),
        ("points", "p.yaml"),
        ("keep_weights", "top-0"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_a_problem_and_no_traceback(name: str, value: Any) -> None:
    assert problems_of(data="d.yaml", **{name: value}).keys() == {name}


def test_a_share_of_infinity_is_refused() -> None:
    assert problems_of(data="d.yaml", plateau={"patience": float("inf")}).keys() == {"plateau.patience"}
