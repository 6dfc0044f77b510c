"""What is given by the names of flags, in Python too."""

from __future__ import annotations

from typing import Any

import pytest

from yolotune.config.flags import settings_of_flags
from yolotune.config.layers import make_settings
from yolotune.config.scheduling import AshaSettings, HalvingSettings, PlateauSettings
from yolotune.errors import UserError


def test_flags_and_settings_are_told_from_other_names() -> None:
    given = {"epochs": 30, "grace_period": 5, "halving_batch": 4, "train": {"nbs": 32}, "cache": "disk", "epohcs": 3}
    settings, others = settings_of_flags(given)
    assert settings == {"epochs": 30, "scheduler": {"grace_period": 5, "batch": 4}, "train": {"nbs": 32}}
    assert others == {"cache": "disk", "epohcs": 3}


@pytest.mark.parametrize(
    ("given", "scheduler"),
    [
        ({"scheduler": "halving", "grace_period": 5}, HalvingSettings(grace_period=5)),
        ({"scheduler": {"name": "asha", "brackets": 2}, "rank": "best"}, AshaSettings(brackets=2, rank="best")),
        ({"scheduler": HalvingSettings(batch=4), "grace_period": 5}, HalvingSettings(batch=4, grace_period=5)),
        ({"scheduler": AshaSettings(brackets=2)}, AshaSettings(brackets=2)),
        ({"no_asha": False, "no_plateau": False}, AshaSettings()),
    ],
)
def test_a_scheduler_may_be_a_name_a_map_or_an_object_beside_its_numbers(given: dict[str, Any], scheduler: Any) -> None:
    assert make_settings(data="d.yaml", **settings_of_flags(given)[0]).scheduler == scheduler


def test_the_same_holds_for_the_plateau_rule() -> None:
    assert settings_of_flags({"plateau_std": 0.1})[0] == {"plateau": {"std": 0.1, "rule": "std"}}
    rule, _ = settings_of_flags({"plateau": PlateauSettings(metric="seg_metrics/F1"), "plateau_num_results": 7})
    expected = PlateauSettings(metric="seg_metrics/F1", num_results=7)
    assert make_settings(data="d.yaml", **rule).plateau == expected
    assert settings_of_flags({"no_plateau": True})[0] == {"plateau": None}


def test_a_scheduler_of_none_takes_no_numbers() -> None:
    for given in ({"scheduler": "none"}, {"no_asha": True}):
        with pytest.raises(UserError, match="--rank: given together with"):
            settings_of_flags({**given, "rank": "best"})
