"""What the history proposes to a study, and which studies ask it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pasts import TASK, ended, keep
from yolotune.check import check
from yolotune.demo import demo_study
from yolotune.errors import UserError
from yolotune.flags import FLAGS, make_study
from yolotune.history import remember
from yolotune.points import default_point
from yolotune.proposals import gap, propose
from yolotune.record import Verdict
from yolotune.recorder import Record
from yolotune.similarity import Task
from yolotune.space import Point
from yolotune.study import Study, load_study

SPACE = {"lr0": "uniform(0.0, 1.0)"}
DEFAULT: Point = {"lr0": 0.0}
MIXED = {"lr0": "loguniform(1e-5, 0.1)", "batch": "choice([8, 16])"}


def past(folder: Path, uid: str, points: dict[float, float], **given: Any) -> None:
    """Remembers a study whose defaults had 0.1, of values by learning rate."""
    trials: list[Any] = [({"lr0": 0.05}, 0.1, Verdict.COMPLETED)]
    trials += [({"lr0": lr0}, value, Verdict.COMPLETED) for lr0, value in points.items()]
    assert remember(ended(folder / uid, uid, trials, **{"space": SPACE, **given})) is None


def here(**given: Any) -> Study:
    return Study(**{"data": "d.yaml", "space": SPACE, "epochs": 20, **given})


def proposed(study: Study, task: Task = TASK, default: Point = DEFAULT) -> list[tuple[str, int | None]]:
    return [(one.provenance.study, one.provenance.trial) for one in propose(study, task, default)[0]]


def test_the_best_points_of_the_nearest_study_come_first(tmp_path: Path) -> None:
    past(tmp_path, "far", {1.0: 0.9, 0.76: 0.8}, imgsz=1280)
    past(tmp_path, "near", {0.3: 0.5, 0.6: 0.6})
    sources, notes = propose(here(top=4), TASK, DEFAULT)
    # the second best of the nearest, 0 away, and the best of the other, 0.25 away, stand alike: the nearer one first
    assert [source.where for source in sources] == [
        "trial 2 of near",
        "trial 1 of near",
        "trial 1 of far",
    ], "trial 2 of far says nothing new"
    assert notes == [
        "history: 2 points of near (the same data, trials 2, 1), 1 point of far (the same data, trial 1) are "
        "tried after the defaults; off with --no-history"
    ]
    first = sources[0].provenance
    assert (first.value, first.by, first.same_data, first.folder) == (0.6, "history", True, str(tmp_path / "near"))
    assert proposed(here(top=1)) == [("near", 2)]


def test_of_studies_as_near_the_newer_is_asked_and_at_most_three(tmp_path: Path) -> None:
    for number, lr0 in enumerate((0.6, 0.9, 0.31, 0.6, 0.3)):
        past(tmp_path, f"s{number}", {lr0: 0.5})
    assert proposed(here(top=9)) == [("s4", 1), ("s3", 1)], "s2 says nothing new, s1 and s0 are not asked"


def test_points_that_say_the_same_come_once_and_the_defaults_never(tmp_path: Path) -> None:
    past(tmp_path, "one", {0.3: 0.9, 0.31: 0.8, 0.01: 0.7, 0.6: 0.6})
    assert proposed(here()) == [("one", 1), ("one", 4)]
    assert proposed(here(), default={"lr0": 0.3}) == [("one", 3), ("one", 4)]


def test_a_study_near_enough_that_has_nothing_new_is_named(tmp_path: Path) -> None:
    past(tmp_path, "one", {0.02: 0.9, 0.01: 0.8})
    assert propose(here(), TASK, DEFAULT) == (
        [],
        ["history: one has nothing to add: points much like the defaults, or of another optimizer"],
    )


def test_a_study_that_is_too_far_says_why_and_proposes_nothing(tmp_path: Path) -> None:
    past(tmp_path, "one", {0.5: 0.9})
    task = replace(TASK, fingerprint="fowl", images=40_000, names=("owl",), imgsz=320)
    sources, notes = propose(here(), task, DEFAULT)
    assert sources == []
    assert notes == [
        "history: no earlier study is near enough to propose a point: the nearest of 1, one, is 1.5 away, 1 is too far "
        "(images 400 there, 40,000 here, imgsz 640 there, 320 here, other classes)"
    ]


def test_a_study_that_beat_nothing_and_one_of_the_other_direction_are_not_asked(tmp_path: Path) -> None:
    past(tmp_path, "worse", {0.01: 0.05})
    past(tmp_path, "loss", {0.01: 0.05}, objective="val/seg_loss")
    assert propose(here(), TASK, DEFAULT) == ([], [])


@pytest.mark.parametrize(
    ("was", "now", "count"),
    [
        ({"optimizer": "SGD"}, {"train": {"optimizer": "AdamW"}}, 0),
        ({"optimizer": "adamw"}, {"train": {"optimizer": "AdamW"}}, 1),
        ({"optimizer": "SGD"}, {"space": {**SPACE, "optimizer": "choice([AdamW, SGD])"}}, 1),
        ({"optimizer": "RMSProp"}, {"space": {**SPACE, "optimizer": "choice([AdamW, SGD])"}}, 0),
        ({}, {"train": {"optimizer": "SGD"}}, 1),
    ],
)
def test_learning_rates_of_another_optimizer_are_not_proposed(tmp_path: Path, was: Any, now: Any, count: int) -> None:
    past(tmp_path, "one", {0.5: 0.9}, train=was)
    default = {**DEFAULT, "optimizer": "AdamW"} if "space" in now else DEFAULT
    assert len(proposed(here(**now), default=default)) == count


def test_points_that_the_space_moves_onto_each_other_come_once(tmp_path: Path) -> None:
    past(tmp_path, "one", {0.9: 0.9, 0.6: 0.8})
    narrow = here(space={"lr0": "uniform(0.0, 0.5)"})
    assert proposed(narrow) == [("one", 1)]


def test_how_far_points_are_apart() -> None:
    space = Study(data="d.yaml", space={**MIXED, "box": [5, 8], "warmup_epochs": "randint(0, 5)"}).domains
    one: Point = {"lr0": 1e-5, "batch": 8, "box": 5.0, "warmup_epochs": 0}
    assert gap(one, one, space) == 0
    assert gap(one, {"lr0": 0.1, "batch": 16, "box": 8.0, "warmup_epochs": 4}, space) == pytest.approx(2)
    assert gap(one, {**one, "lr0": 1e-3}, space) == pytest.approx(0.5), "half of the range"
    assert gap(one, {**one, "batch": 16}, space) == pytest.approx(1)


# ---- studies that ask


@pytest.fixture
def wanted(shapes: Path, tmp_path: Path) -> dict[str, Any]:
    """Settings of a study on data that the history knows a study of."""
    given = {"data": str(shapes), "model": "yolo11n-seg.yaml", "epochs": 20, "imgsz": 64, "device": "cpu"}
    given |= {"space": MIXED, "train": {"optimizer": "AdamW"}, "project": str(tmp_path), "num_samples": 4}
    plan = check(Study(**given))
    data = plan.dataset
    about = {
        "dataset": {
            "fingerprint": data.fingerprint,
            "images": data.images,
            "instances": data.instances,
            "areas": list(data.areas),
            "side": data.side,
            "names": {str(key): name for key, name in data.names.items()},
        },
        "model": {"name": "yolo11n-seg.yaml", "sha256": None},
    }
    trials = [(0.001, 0.2), (0.002, 0.5), (0.02, 0.7), (0.0001, 0.6)]
    recorded = [({"lr0": lr0, "batch": 16}, value, Verdict.COMPLETED) for lr0, value in trials]
    assert remember(ended(tmp_path / "old", "u0", recorded, about, **{**given, "name": "old"})) is None
    return given


def rates(study: Study, folder: Path | None = None) -> list[Any]:
    return [point["lr0"] for point in check(study, folder).points]


def test_a_new_study_tries_them_after_the_defaults_and_before_those_of_a_preset(wanted: dict[str, Any]) -> None:
    plan = check(Study(**wanted))
    zero = default_point(plan.study.domains, plan.dataset.nc, "AdamW")[0]["lr0"]
    assert [point["lr0"] for point in plan.points] == [zero, 0.02, 0.0001]
    assert [one.trial for one in plan.warm.provenance] == [2, 3]
    assert any("2 points of old (the same data, trials 2, 3) are tried after the defaults" in n for n in plan.notes)

    preset = {key: value for key, value in wanted.items() if key not in ("space", "train")}
    assert check(Study(**preset)).points[1]["lr0"] == 0.02, "before the preset's own points"


def test_points_that_the_user_gives_come_before_those_that_nobody_asked_for(wanted: dict[str, Any]) -> None:
    given = [{"lr0": 0.05, "batch": 8}, {"lr0": 0.0001, "batch": 16}]
    plan = check(Study(**wanted, points=given))
    assert [point["lr0"] for point in plan.points][1:] == [0.05, 0.0001, 0.02]
    assert any("tried after the defaults and the points given; off with" in note for note in plan.notes)


@pytest.mark.parametrize("off", [{"history": False}, {"search": "grid"}, {"preset": "guide", "epochs": 60}])
def test_who_does_not_ask(off: dict[str, Any], wanted: dict[str, Any]) -> None:
    study = Study(**{**wanted, "space": {"lr0": "choice([0.001, 0.004])", "batch": "choice([8, 16])"}, **off})
    plan = check(study)
    assert plan.warm.points == [] and not any("history" in note for note in plan.notes)


def test_a_named_study_has_the_word(wanted: dict[str, Any], tmp_path: Path) -> None:
    plan = check(Study(**wanted, warm_start=str(tmp_path / "old"), top=1))
    assert [one.by for one in plan.warm.provenance] == ["warm_start"]


def test_the_demo_neither_asks_nor_is_remembered(tmp_path: Path) -> None:
    assert demo_study(tmp_path).history is False
    assert not Study(data="d.yaml", preset="guide").history and Study(data="d.yaml").history


def test_a_study_that_goes_on_keeps_its_points_and_never_asks_again(wanted: dict[str, Any], tmp_path: Path) -> None:
    study = Study(**wanted, name="new")
    plan = check(study)
    record = Record(tmp_path / "new", metric=study.metric, mode="max")
    warm = {"warm_points": plan.warm.points, "warm_from": [asdict(one) for one in plan.warm.provenance]}
    record.create({**study.model_dump(), **warm}, {})
    keep("")  # what the history says by now is another thing
    past(tmp_path, "later", {0.09: 0.9}, space=MIXED)
    for changed in ({}, {"history": False}):
        again = check(load_study(record.folder, changed), record.folder)
        assert again.warm == replace(plan.warm, notes=[])
        assert again.points == plan.points
    more = check(load_study(record.folder, {"top": 1}), record.folder)
    assert more.warm.points == plan.warm.points
    assert "history: a study that goes on keeps the points it began with; top changes nothing here" in more.notes

    record.start(0, plan.points[0])
    record.start(1, plan.warm.points[0])
    named = check(load_study(record.folder, {"warm_start": str(tmp_path / "later"), "top": 1}), record.folder)
    assert [(one.study, one.by) for one in named.warm.provenance] == [("later", "warm_start"), ("old", "history")]


def test_a_study_that_began_without_goes_on_without(wanted: dict[str, Any], tmp_path: Path) -> None:
    study = Study(**wanted, name="new", history=False)
    record = Record(tmp_path / "new", metric=study.metric, mode="max")
    record.create({**study.model_dump(), "warm_points": [], "warm_from": []}, {})
    assert check(load_study(record.folder, {"history": True}), record.folder).warm.points == []


def test_the_flag_and_top_without_anyone_to_ask(tmp_path: Path) -> None:
    def study(*words: str, **flags: Any) -> Study:
        unset = {name: False if flag.kind is bool else None for name, flag in FLAGS.items()}
        return make_study(list(words), {**unset, "data": "d.yaml", **flags})

    assert study().history and study().asks_history
    assert not study(no_history=True).history
    assert study(top=5).top == 5
    assert study(no_history=True, warm_start="old", top=5).top == 5
    with pytest.raises(UserError, match="--top: no earlier study is asked for points: the history is off"):
        study(no_history=True, top=5)
    with pytest.raises(UserError, match=r"--top: .* a grid tries all its points"):
        study(search="grid", top=5)
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"data": "d.yaml", "history": False}))
    assert not study(str(file)).history
