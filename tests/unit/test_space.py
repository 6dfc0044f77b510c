"""Distributions in the guide's words, and points checked against them and against Ultralytics."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import tune

from yolotune.config.arguments import check_names, check_space, check_values
from yolotune.config.points import automatic_lr0, default_point, resolve_point
from yolotune.config.space import (
    Choice,
    RandInt,
    Space,
    Uniform,
    grid_size,
    parse_domain,
    parse_space,
)

SPACE: Space = {
    "lr0": Uniform(1e-5, 1e-2, log=True),
    "mosaic": Uniform(0.0, 1.0),
    "warmup_epochs": RandInt(0, 5),
    "batch": Choice((8, 16)),
    "cos_lr": Choice((True, False)),
}
POINT = {"lr0": 0.001, "mosaic": 0.5, "warmup_epochs": 3, "batch": 16, "cos_lr": True}


# --- notations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("uniform(0.0, 1.0)", Uniform(0.0, 1.0)),
        ("tune.uniform(0.00, 0.95)", Uniform(0.0, 0.95)),
        ("loguniform(1e-5, 1e-1)", Uniform(1e-5, 1e-1, log=True)),
        ("randint(0, 5)", RandInt(0, 5)),
        ("tune.randint(-3, 4)", RandInt(-3, 4)),
        ("choice([16, 32, 64])", Choice((16, 32, 64))),
        ('tune.choice(["AdamW"])', Choice(("AdamW",))),
        ("choice([AdamW, SGD])", Choice(("AdamW", "SGD"))),
        ("choice([true, False])", Choice((True, False))),
        ("choice((1, 2.5))", Choice((1, 2.5))),
        ("grid_search([0.5, 1])", Choice((0.5, 1), grid=True)),
        ("  tune.uniform( 0 ,\n 1 )  ", Uniform(0.0, 1.0)),
        ([5.0, 8], Uniform(5.0, 8.0)),
        (7, 7),
        (0.5, 0.5),
        (True, True),
        ("AdamW", "AdamW"),
        (RandInt(1, 2), RandInt(1, 2)),
    ],
)
def test_the_notations_of_the_guide_are_read(written: Any, read: Any) -> None:
    found = parse_domain(written)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("uniform(1, 0)", r"low must be below high. Got uniform\(1, 0\)"),
        ("uniform(1, 1)", "low must be below high"),
        ([8, 5], "low must be below high"),
        ("loguniform(0, 1)", "low above 0"),
        ("loguniform(-1, 1)", "low above 0"),
        ("randint(0.5, 3)", "whole numbers"),
        ("randint(5, 5)", "low must be below high"),
        ("uniform(1)", "two numbers"),
        ("uniform()", "two numbers"),
        ("uniform(a, b)", "two numbers"),
        ("uniform(true, 2)", "two numbers"),
        ("uniform(0, 1e999)", "two numbers"),
        (f"uniform(0, 1{'0' * 400})", "two numbers"),
        ("choice([])", "at least one option"),
        ("choice(1, 2)", "one list"),
        ("choice([1, 1])", "twice"),
        ("choice([1, 1.0])", "twice"),
        ("choice([1, true])", "twice"),
        ("choice([[1, 2]])", "numbers, words"),
        ("choice([None])", "numbers, words"),
        ("choice([{1: 2}])", "numbers, words"),
        ("choice([1e999])", "finite"),
        ("choice([{[]: 1}])", "cannot read"),
        ("choice(x for x in y)", "cannot read"),
        ("choice([__import__('os').getcwd()])", "cannot read"),
        ("uniform(0, 1) + uniform(0, 1)", "cannot read"),
        ("uniform(0, ", None),
        (f"choice({'[' * 500})", "cannot read"),
        ("unifrom(0, 1)", "no distribution is called 'unifrom'. Did you mean uniform"),
        ("sample_from(f)", "no distribution is called"),
        ([1, 2, 3], r"\[low, high\]"),
        ([True, False], r"\[low, high\]"),
        (["a", "b"], r"\[low, high\]"),
        (None, "cannot read None"),
        ({"low": 0}, "cannot read"),
    ],
)
def test_what_is_no_distribution_is_refused_or_taken_as_a_word(written: Any, reason: str | None) -> None:
    if reason is None:
        assert parse_domain(written) == written  # a word like any other; Ultralytics' types refuse it later
    else:
        with pytest.raises(ValueError, match=reason):
            parse_domain(written)


def test_the_upper_end_of_randint_is_exclusive_as_in_ray() -> None:
    domain = parse_domain("randint(0, 5)")
    assert isinstance(domain, RandInt)
    assert domain.ends() == (0, 4)
    drawn = {tune.randint(0, 5).sample() for _ in range(300)}
    assert drawn == {value for value in range(-1, 7) if value in domain}


finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(10**12), 10**12)
option = st.one_of(st.booleans(), whole, finite, st.text(max_size=12))
domains = st.one_of(
    st.tuples(finite, finite).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: Uniform(*ends)),
    st.tuples(finite, finite).filter(lambda ends: 0 < ends[0] < ends[1]).map(lambda ends: Uniform(*ends, log=True)),
    st.tuples(whole, whole).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: RandInt(*ends)),
    st.builds(
        lambda options, grid: Choice(tuple(options), grid),
        st.lists(option, min_size=1, max_size=5, unique_by=lambda value: value),
        st.booleans(),
    ),
)


@given(domains)
def test_a_distribution_reads_back_as_it_was_written(domain: Any) -> None:
    found = parse_domain(str(domain))
    assert found == domain
    assert [type(end) for end in found.ends()] == [type(end) for end in domain.ends()]


def test_distributions_are_shown_as_people_write_them() -> None:
    assert str(Uniform(1e-5, 0.02, log=True)) == "loguniform(1e-05, 0.02)"
    assert str(Uniform(5.0, 8.0)) == "uniform(5.0, 8.0)"
    assert str(Choice((8, 0.5, "AdamW", "a b", True))) == "choice([8, 0.5, AdamW, 'a b', True])"


def test_a_space_is_split_into_what_varies_and_what_is_fixed() -> None:
    space, fixed, problems = parse_space({"lr0": "uniform(0, 1)", "box": 7.5, "cls": "uniform(2, 1)"}, "space")
    assert space == {"lr0": Uniform(0.0, 1.0)}
    assert fixed == {"box": 7.5}
    assert [problem.where for problem in problems] == ["space: cls"]


def test_the_size_of_a_grid_counts_every_value() -> None:
    assert grid_size({"a": Choice((1, 2, 3), grid=True), "b": RandInt(0, 5)}) == 15


# --- against Ultralytics -----------------------------------------------------------------------------------------


def test_the_right_space_has_no_problems() -> None:
    assert check_space(SPACE, "space") == []


def test_a_misspelt_argument_gets_a_hint() -> None:
    [problem] = check_names({"mosiac": 0}, "space", searched=True)
    assert "Did you mean mosaic?" in problem.what


@pytest.mark.parametrize("name", ["data", "epochs", "seed", "device", "resume", "time", "val", "save_dir"])
def test_what_belongs_to_the_study_is_neither_searched_nor_fixed(name: str) -> None:
    for searched in (True, False):
        [problem] = check_names({name: 1}, "train", searched=searched)
        assert "belongs to the study" in problem.what


def test_the_image_size_may_be_fixed_but_not_searched() -> None:
    assert check_names({"imgsz": 320}, "train", searched=False) == []
    assert "cannot be searched" in check_names({"imgsz": 320}, "space", searched=True)[0].what


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("lr0", Uniform(0.1, 1.5)),
        ("mosaic", Uniform(-0.1, 0.5)),
        ("cos_lr", Choice((1, 2))),
        ("box", Choice(("high",))),
        ("batch", Uniform(8, 16)),
        ("batch", Choice((0, 8))),
        ("batch", Choice((8.0,))),
        ("batch", RandInt(-1, 9)),
        ("close_mosaic", Uniform(0, 10)),
        ("scale", Uniform(0, 2)),
    ],
)
def test_ranges_beyond_what_ultralytics_takes_are_one_problem_each(name: str, domain: Any) -> None:
    problems = check_space({name: domain}, "space")
    assert [problem.where for problem in problems] == [f"space: {name}"]


def test_an_automatic_batch_may_be_fixed() -> None:
    assert check_values({"batch": -1}, "train") == []


# --- points ------------------------------------------------------------------------------------------------------


def test_the_automatic_learning_rate_is_that_of_optimizer_auto() -> None:
    assert automatic_lr0(1) == 0.002
    assert automatic_lr0(80) == 0.000119


@pytest.mark.parametrize("nc", [1, 3, 80])
def test_the_default_point_lies_inside_any_space(nc: int) -> None:
    for space in (
        SPACE,
        {"lr0": Uniform(0.5, 0.6), "box": RandInt(1, 3), "batch": Choice((2, 4)), "mosaic": Choice((0, 0.5))},
        {
            "freeze": RandInt(0, 11),
            "optimizer": Choice(("SGD",)),
            "cos_lr": Choice((True,)),
            "close_mosaic": RandInt(0, 3),
        },
    ):
        point, _ = default_point(space, nc)
        assert all(point[name] in domain for name, domain in space.items())
        assert resolve_point(point, space, nc, "p") == (point, [])


def test_the_default_point_says_where_the_space_forced_it_to_differ() -> None:
    point, moved = default_point({"cls": Uniform(1.0, 3.0), "batch": Choice((8, 16))}, nc=3)
    assert point == {"cls": 1.0, "batch": 16}
    assert moved == ["cls 0.5 is outside uniform(1.0, 3.0): 1.0 instead"]


def test_a_name_that_ultralytics_does_not_know_breaks_no_default_point() -> None:
    assert default_point({"lr00": Uniform(0.0, 1.0)}, nc=1)[0] == {"lr00": 0.0}


def test_a_point_gets_exact_types() -> None:
    point, problems = resolve_point({**POINT, "mosaic": 1, "warmup_epochs": 3.0, "batch": 16.0}, SPACE, 1, "p")
    assert problems == []
    assert point == {**POINT, "mosaic": 1.0}
    assert {name: type(value) for name, value in point.items()} == {
        "lr0": float,
        "mosaic": float,
        "warmup_epochs": int,
        "batch": int,
        "cos_lr": bool,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mosaic", True),
        ("mosaic", 1.1),
        ("mosaic", float("nan")),
        ("mosaic", "0.5"),
        ("warmup_epochs", 5),
        ("warmup_epochs", 2.5),
        ("warmup_epochs", True),
        ("batch", 12),
        ("batch", True),
        ("cos_lr", 1),
        ("lr0", 0.02),
        ("lr0", None),
    ],
)
def test_a_value_outside_or_of_the_wrong_kind_is_a_problem(name: str, value: Any) -> None:
    _, problems = resolve_point({**POINT, name: value}, SPACE, 1, "p.yaml")
    assert [problem.where for problem in problems] == [f"p.yaml: {name}"]


def test_true_is_not_the_option_one() -> None:
    _, problems = resolve_point({"close_mosaic": True}, {"close_mosaic": Choice((0, 1))}, 1, "p")
    assert len(problems) == 1


def test_all_faults_of_a_point_are_listed_at_once() -> None:
    raw = {"lr0": 5, "mosiac": 0.5, "warmup_epochs": 9, "batch": 16, 1: 2}
    _, problems = resolve_point(raw, SPACE, 1, "p")  # type: ignore[arg-type]
    assert sorted(problem.where for problem in problems) == ["p", "p: 1", "p: lr0", "p: mosiac", "p: warmup_epochs"]
    assert problems[0].fix == "add mosaic, cos_lr."
    assert any("Did you mean mosaic?" in problem.what for problem in problems)


def test_auto_stands_for_the_automatic_learning_rate() -> None:
    point, problems = resolve_point({**POINT, "lr0": "auto"}, SPACE, 3, "p")
    assert not problems and point["lr0"] == automatic_lr0(3)


def test_the_defaults_of_a_study_that_fixes_sgd_are_those_of_sgd() -> None:
    space = {"lr0": Uniform(1e-5, 1e-1, log=True), "momentum": Uniform(0.6, 0.98)}
    assert default_point(space, 3, "SGD")[0] == {"lr0": 0.01, "momentum": 0.937}
    assert default_point(space, 3, "AdamW")[0] == {"lr0": 0.001429, "momentum": 0.9}
