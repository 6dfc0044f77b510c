"""Initial points: Ultralytics' defaults first, then those of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolotune.config.layers import make_settings
from yolotune.config.points import read_points


@pytest.mark.parametrize("nc", [1, 3, 80])
def test_the_default_preset_begins_with_the_defaults_alone(nc: int) -> None:
    settings = make_settings(data="d.yaml")
    points, problems = read_points(settings, nc)
    assert not problems and len(points) == 1
    assert points[0].keys() == settings.domains.keys()
    assert all(points[0][name] in domain for name, domain in settings.domains.items())


def test_trial_0_is_the_defaults_whatever_points_are_given() -> None:
    settings = make_settings(
        data="d.yaml", space={"lr0": "loguniform(1e-5, 1e-1)", "box": [5, 8]}, points=[{"lr0": 0.01, "box": 6}]
    )
    points, problems = read_points(settings, nc=3)
    assert not problems
    assert points == [{"lr0": 0.001429, "box": 7.5}, {"lr0": 0.01, "box": 6.0}]


def test_all_faults_of_all_points_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text("- {lr0: 1e-3}\n- {lr0: 5, lr1: 1}\n- 7\n", encoding="utf-8")
    settings = make_settings(data="d.yaml", space={"lr0": [0, 1]}, points=["missing.yaml", str(file), {"lr0": "x"}])
    points, problems = read_points(settings, nc=1)
    assert points == [{"lr0": 0.002}, {"lr0": 0.001}]
    places = [problem.where.removeprefix(str(file)) for problem in problems]
    assert places == ["missing.yaml", "[1]: lr0", "[1]: lr1", "", "points[3]: lr0"]
