"""Initial points: Ultralytics' defaults first, then those of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolotune.config.layers import make_settings
from yolotune.config.points import read_points


@pytest.mark.parametrize("nc", [1, 3, 80])
def test_the_default_preset_begins_with_the_defaults_alone(nc: int) -> None:
    settings = make_settings(data="d.yaml")
    points, problems, notes = read_points(settings, nc)
    assert not problems and not notes and len(points) == 1
    assert points[0].keys() == settings.domains.keys()
    assert all(points[0][name] in domain for name, domain in settings.domains.items())


def test_trial_0_is_the_defaults_whatever_points_are_given() -> None:
    settings = make_settings(
        data="d.yaml", space={"lr0": "loguniform(1e-5, 1e-1)", "box": [5, 8]}, points=[{"lr0": 0.01, "box": 6}]
    )
    points, problems, notes = read_points(settings, nc=3)
    assert not problems and not notes
    assert points == [{"lr0": 0.001429, "box": 7.5}, {"lr0": 0.01, "box": 6.0}]


def test_all_faults_of_all_points_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text("- {lr0: 1e-3}\n- {lr0: 5, lr1: 1}\n- 7\n", encoding="utf-8")
    settings = make_settings(data="d.yaml", space={"lr0": [0, 1]}, points=["missing.yaml", str(file), {"lr0": "x"}])
    points, problems, _ = read_points(settings, nc=1)
    assert points == [{"lr0": 0.002}, {"lr0": 0.001}]
    places = [problem.where.removeprefix(str(file)) for problem in problems]
    assert places == ["missing.yaml", "[1]: lr0", "[1]: lr1", "", "points[3]: lr0"]


SPACE = {"lr0": "loguniform(1e-5, 1e-1)", "box": [5, 8], "mosaic": [0, 1]}


def test_what_a_point_does_not_give_comes_from_the_defaults() -> None:
    settings = make_settings(data="d.yaml", space=SPACE, points=[{"box": 6}, {"box": 6, "lr0": "auto", "mosaic": 1}])
    points, problems, notes = read_points(settings, nc=3)
    assert not problems and points[1] == {"lr0": 0.001429, "box": 6.0, "mosaic": 1.0}
    assert len(points) == 2, "the second is the first, written out"
    assert notes == ["points[1] gives 1 of 3 arguments; the others are Ultralytics' defaults."]


def test_a_strict_study_refuses_points_that_are_not_whole() -> None:
    settings = make_settings(data="d.yaml", space=SPACE, points=[{"box": 6}], points_strict=True)
    (problem,) = read_points(settings, nc=3)[1]
    assert str(problem).endswith("2 of 3 are missing. Fix: add lr0, mosaic.")
    assert make_settings(data="d.yaml", preset="guide").points_strict


def test_what_the_study_fixes_is_left_out_of_a_point() -> None:
    given = {"lr0": 0.01, "box": 6.0, "mosaic": 0.5, "batch": 8}
    settings = make_settings(data="d.yaml", space=SPACE, points=[given], train={"batch": 16})
    points, problems, notes = read_points(settings, nc=3)
    assert not problems and points[1] == {"lr0": 0.01, "box": 6.0, "mosaic": 0.5}
    assert notes == ["points[1]: batch left out, fixed by this study."]
    strict = settings.model_copy(update={"points_strict": True})
    assert [problem.where for problem in read_points(strict, nc=3)[1]] == ["points[1]: batch"]
