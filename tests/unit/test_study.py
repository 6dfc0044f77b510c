"""The study file: presets, merging, points, folders, and mistakes told all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ultralytics.utils.files import increment_path

from yolotune.config.early_stopping import Asha, epochs_of
from yolotune.config.points import read_points
from yolotune.config.settings import Settings, load_settings, merge, read_preset
from yolotune.config.space import Uniform, parse_domain
from yolotune.errors import UserError
from yolotune.tuner.check import check_settings

#: The guide's section "Search Space Configuration", as it stands there.
GUIDE = {
    "lr0": "tune.loguniform(1e-5, 1e-1)",
    "lrf": "tune.uniform(0.01, 1.0)",
    "momentum": "tune.uniform(0.6, 0.98)",
    "weight_decay": "tune.uniform(0.0, 0.005)",
    "optimizer": 'tune.choice(["AdamW"])',
    "warmup_epochs": "tune.randint(0, 5)",
    "warmup_momentum": "tune.uniform(0.00, 0.95)",
    "box": "tune.uniform(5.0, 8.0)",
    "cls": "tune.uniform(1.0, 3.0)",
    "dropout": "tune.uniform(0.0, 0.1)",
    "fliplr": "tune.uniform(0.0, 0.5)",
    "hsv_h": "tune.uniform(0.0, 0.5)",
    "hsv_s": "tune.uniform(0.0, 0.5)",
    "hsv_v": "tune.uniform(0.0, 0.5)",
    "degrees": "tune.uniform(0.0, 10.0)",
    "translate": "tune.uniform(0.0, 0.25)",
    "scale": "tune.uniform(0.0, 0.5)",
    "perspective": "tune.uniform(0.0, 0.1)",
    "mosaic": "tune.uniform(0.7, 1.0)",
    "copy_paste": "tune.uniform(0.0, 0.3)",
    "cutmix": "tune.uniform(0.0, 0.3)",
    "batch": "tune.choice([16, 32, 64])",
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(**given: Any) -> dict[str, str]:
    with pytest.raises(UserError) as caught:
        Settings(**given)
    return {problem.where: f"{problem.what} {problem.fix}" for problem in caught.value.problems}


# --- presets -----------------------------------------------------------------------------------------------------


def test_the_preset_guide_is_the_guide_to_the_letter() -> None:
    study = Settings(data="d.yaml", preset="guide")
    assert study.domains == {name: parse_domain(written) for name, written in GUIDE.items()}
    assert not study.parsed[1] and not study.parsed[2] and not study.train
    assert (study.epochs, study.num_samples, study.metric, study.direction) == (250, 50, "seg_metrics/F1", "max")
    assert study.asha is not None and study.plateau is not None
    assert (study.grace_period, study.asha.reduction_factor, study.asha.brackets, study.max_t) == (25, 2, 1, 251)
    assert study.asha.rank == "current"
    plateau = study.plateau
    assert (plateau.rule, plateau.metric, plateau.std) == ("std", "train_seg_metrics/F1", 0.01)
    assert (plateau.num_results, plateau.grace_period) == (5, 10)


def test_the_default_preset_searches_the_names_of_the_guide_without_the_inert_one() -> None:
    study = Settings(data="d.yaml")
    assert study.preset == "yolo11-seg"
    assert study.domains.keys() == GUIDE.keys() - {"dropout"}
    assert study.fixed["warmup_bias_lr"] == 0.0 and study.fixed["close_mosaic"] == 25


def test_each_deviation_from_the_guide_stands_on_a_line_with_its_reason() -> None:
    text = (Path(__file__).parents[2] / "src/yolotune/config/presets/yolo11-seg.yaml").read_text(encoding="utf-8")
    lines = {line.split(":")[0].strip(): line for line in text.splitlines() if line.startswith("  ")}
    study = Settings(data="d.yaml")
    for name, domain in study.domains.items():
        if domain != parse_domain(GUIDE[name]):
            assert "#" in lines[name], name


@pytest.mark.parametrize("preset", ["guide", "yolo11-seg"])
def test_a_preset_has_no_problems(preset: str) -> None:
    assert check_settings(Settings(data="d.yaml", preset=preset)) == []


@pytest.mark.parametrize("nc", [1, 3, 80])
def test_the_default_preset_begins_with_the_defaults_alone(nc: int) -> None:
    study = Settings(data="d.yaml")
    points, problems = read_points(study, nc)
    assert not problems and len(points) == 1
    assert points[0].keys() == study.domains.keys()
    assert all(points[0][name] in domain for name, domain in study.domains.items())


def test_trial_0_is_the_defaults_whatever_points_are_given() -> None:
    study = Settings(
        data="d.yaml", space={"lr0": "loguniform(1e-5, 1e-1)", "box": [5, 8]}, points=[{"lr0": 0.01, "box": 6}]
    )
    points, problems = read_points(study, nc=3)
    assert not problems
    assert points == [{"lr0": 0.001429, "box": 7.5}, {"lr0": 0.01, "box": 6.0}]


def test_all_faults_of_all_points_are_listed(tmp_path: Path) -> None:
    file = write(tmp_path / "two.yaml", "- {lr0: 1e-3}\n- {lr0: 5, lr1: 1}\n- 7\n")
    study = Settings(data="d.yaml", space={"lr0": [0, 1]}, points=["missing.yaml", str(file), {"lr0": "x"}])
    points, problems = read_points(study, nc=1)
    assert points == [{"lr0": 0.002}, {"lr0": 0.001}]
    places = [problem.where.removeprefix(str(file)) for problem in problems]
    assert places == ["missing.yaml", "[1]: lr0", "[1]: lr1", "", "points[3]: lr0"]


# --- merging -----------------------------------------------------------------------------------------------------


def test_flags_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = write(
        tmp_path / "study.yaml",
        "data: d.yaml\nepochs: 100\nseed: 3\ntrain: {cache: disk, nbs: 32}\nasha: {reduction_factor: 3}\n",
    )
    study = load_settings(file, {"epochs": 40, "train": {"nbs": 16}, "asha": {"brackets": 2}})
    assert (study.epochs, study.seed, study.num_samples) == (40, 3, 50)
    assert study.train == {"warmup_bias_lr": 0.0, "close_mosaic": 0.1, "cache": "disk", "nbs": 16}
    assert study.asha == Asha(grace_period=0.15, reduction_factor=3, brackets=2, rank="signals")


def test_halving_cuts_earlier_and_deeper_unless_told_otherwise() -> None:
    for given, numbers in (
        ({}, (38, 2)),
        ({"scheduler": "halving"}, (25, 3)),
        ({"scheduler": "halving", "asha": {"grace_period": 0.2, "reduction_factor": 2}}, (50, 2)),
    ):
        study = Settings(data="d.yaml", **given)
        assert study.asha is not None
        assert (study.grace_period, study.asha.reduction_factor) == numbers


def test_a_space_is_taken_whole_and_drops_the_points_and_fixed_arguments_of_the_one_it_replaces() -> None:
    study = Settings(data="d.yaml", space={"lr0": [0, 1], "warmup_bias_lr": [0, 0.1]})
    assert study.domains.keys() == {"lr0", "warmup_bias_lr"}
    assert study.points == []
    assert study.train == {"close_mosaic": 0.1}
    assert Settings(data="d.yaml", space={"lr0": [0, 1]}, points=[{"lr0": 1}]).points == [{"lr0": 1}]


def test_what_the_user_fixes_and_searches_himself_is_kept_for_the_check_to_refuse() -> None:
    study = Settings(data="d.yaml", space={"mosaic": [0, 1]}, train={"mosaic": 0.5})
    assert study.train["mosaic"] == 0.5
    assert any(problem.where == "mosaic" for problem in check_settings(study))


def test_a_space_file_given_by_flag_replaces_the_space_of_the_study_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "study.yaml", "data: d.yaml\nspace: {lr0: [0, 1]}\npoints: [{lr0: 0.5}]\ntrain: {box: 7, nbs: 32}\n"
    )
    plain = write(tmp_path / "plain.yaml", "box: uniform(5, 8)\n")
    nested = write(tmp_path / "nested.yaml", "space: {box: 'uniform(5, 8)'}\n")
    for space in (plain, nested):
        study = load_settings(file, {"space": str(space)})
        assert study.domains == {"box": Uniform(5.0, 8.0)}
        assert study.points == [] and "box" not in study.train and study.train["nbs"] == 32


def test_early_stopping_is_switched_off_by_null_or_false(tmp_path: Path) -> None:
    file = write(tmp_path / "study.yaml", "data: d.yaml\nasha: false\nplateau: null\n")
    study = load_settings(file, {})
    assert study.asha is None and study.plateau is None
    again = load_settings(file, {"asha": {"grace_period": 4}})
    assert again.asha is not None and again.grace_period == 4


@pytest.mark.parametrize(
    ("given", "scheduler", "factor"),
    [
        ({}, "asha", 2),
        ({"scheduler": "halving"}, "halving", 3),
        ({"scheduler": "halving", "asha": {"reduction_factor": 4}}, "halving", 4),
        ({"scheduler": "halving", "preset": "none", "space": {"lr0": [0, 1]}}, "halving", 3),
        ({"preset": "none", "space": {"lr0": [0, 1]}}, "none", None),
        ({"preset": "none", "space": {"lr0": [0, 1]}, "asha": {}}, "asha", 2),
        ({"scheduler": "none"}, "none", None),
        ({"asha": None}, "none", None),
        ({"scheduler": "none", "asha": {"grace_period": 3}}, "none", None),
    ],
)
def test_scheduler_and_rungs_say_the_same(given: dict[str, Any], scheduler: str, factor: float | None) -> None:
    study = Settings(data="d.yaml", **given)
    assert (study.scheduler, study.asha.reduction_factor if study.asha else None) == (scheduler, factor)
    assert Settings(**study.model_dump()) == study


@pytest.mark.parametrize(
    ("written", "flags", "scheduler"),
    [
        ({"scheduler": "halving"}, {"asha": None}, "none"),
        ({"scheduler": "halving"}, {"asha": {"batch": 4}}, "halving"),
        ({"asha": None}, {"scheduler": "halving"}, "halving"),
        ({"scheduler": "none"}, {"asha": {"grace_period": 4}}, "asha"),
        ({"asha": {"grace_period": 4}}, {"scheduler": "halving"}, "halving"),
    ],
)
def test_of_scheduler_and_rungs_the_word_said_last_holds(
    tmp_path: Path, written: dict[str, Any], flags: dict[str, Any], scheduler: str
) -> None:
    file = write(tmp_path / "study.yaml", yaml.safe_dump({"data": "d.yaml", **written}))
    study = load_settings(file, flags)
    assert study.scheduler == scheduler
    for name, value in {**(written.get("asha") or {}), **(flags.get("asha") or {})}.items():
        assert getattr(study.asha, name) == value


def test_a_scheduler_without_rungs_is_refused() -> None:
    assert "asha is null" in problems_of(data="d.yaml", scheduler="halving", asha=None)["scheduler"]


def test_merging_leaves_its_inputs_alone() -> None:
    below = read_preset("yolo11-seg")
    merge(below, {"train": {"nbs": 1}, "space": {}, "asha": None})
    assert below == read_preset("yolo11-seg")


def test_yaml_floats_are_floats(tmp_path: Path) -> None:
    file = write(tmp_path / "study.yaml", "data: d.yaml\nspace: {lr0: [1e-5, 1e-3], lrf: 1e-2}\nplateau: {std: 5e-3}\n")
    study = load_settings(file, {})
    assert study.domains == {"lr0": Uniform(1e-5, 1e-3)}
    assert study.fixed["lrf"] == 0.01
    assert study.plateau is not None and study.plateau.std == 0.005


def test_words_that_look_like_numbers_are_words(tmp_path: Path) -> None:
    study = load_settings(write(tmp_path / "study.yaml", "data: d.yaml\ndevice: 0\nname: 5\nproject: 7\n"), {})
    assert (study.device, study.name, study.project) == ("0", "5", "7")


def test_distributions_from_python_are_kept_in_words() -> None:
    study = Settings(data="d.yaml", space={"lr0": Uniform(1e-5, 0.0123456789, log=True)})
    assert study.model_dump()["space"] == {"lr0": "loguniform(1e-05, 0.0123456789)"}
    assert study.domains == {"lr0": Uniform(1e-5, 0.0123456789, log=True)}


# --- epochs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "epochs", "expected"),
    [(25, 250, 25), (0.1, 250, 25), (0.1, 5, 1), (0.01, 10, 1), (1, 250, 1), (0.3, 25, 8), (10.0, 5, 10)],
)
def test_below_one_an_amount_is_a_share_of_the_epochs(amount: float, epochs: int, expected: int) -> None:
    assert epochs_of(amount, epochs) == expected


@pytest.mark.parametrize("epochs", [1, 2, 5, 12, 30, 250])
def test_close_mosaic_is_a_share_of_the_epochs_that_leaves_some(epochs: int) -> None:
    closes = Settings(data="d.yaml", epochs=epochs).fixed["close_mosaic"]
    assert isinstance(closes, int) and 0 <= closes < epochs


def test_close_mosaic_in_epochs_stays_as_it_is() -> None:
    assert Settings(data="d.yaml", train={"close_mosaic": 10}).fixed["close_mosaic"] == 10


# --- folder ------------------------------------------------------------------------------------------------------


def test_the_folder_takes_the_next_free_name_as_ultralytics_does(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    study = Settings(data="d.yaml", project="mine", name="fish")
    for expected in ("fish", "fish-2", "fish-3"):
        folder = study.folder()
        assert folder == tmp_path / "runs/tune/mine" / expected
        assert folder == increment_path(tmp_path / "runs/tune/mine/fish")
        folder.mkdir(parents=True)
    assert Settings(data="d.yaml", project="mine", name="fish", exist_ok=True).folder().name == "fish"


def test_an_absolute_project_is_the_place_itself(tmp_path: Path) -> None:
    assert Settings(data="d.yaml", project=str(tmp_path)).folder() == tmp_path / "study"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "/tmp"])
def test_a_name_is_a_plain_folder_name(name: str) -> None:
    assert "plain folder name" in problems_of(data="d.yaml", name=name)["name"]


# --- mistakes ----------------------------------------------------------------------------------------------------


def test_several_mistakes_are_reported_at_once_with_hints() -> None:
    problems = problems_of(
        dta="d.yaml",
        epochs=0,
        search="tpee",
        asha={"grace_perod": 5, "reduction_factor": 1},
        plateau={"metric": "train_seg_metrics/F2"},
        objective="metrics/F1",
    )
    assert problems.keys() == {
        "data",
        "dta",
        "epochs",
        "search",
        "asha.grace_perod",
        "asha.reduction_factor",
        "plateau.metric",
        "objective",
    }
    assert "Did you mean data?" in problems["dta"]
    assert "Did you mean grace_period?" in problems["asha.grace_perod"]
    assert "Did you mean train_seg_metrics/F1?" in problems["plateau.metric"]
    assert problems["data"] == "is missing. give --data path/to/data.yaml."


def test_an_unknown_preset_is_one_mistake() -> None:
    assert problems_of(data="d.yaml", preset="guid").keys() == {"preset"}


def test_without_a_preset_a_space_is_needed() -> None:
    assert problems_of(data="d.yaml", preset="none").keys() == {"space"}
    assert Settings(data="d.yaml", preset="none", space={"lr0": [0, 1]}).asha is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("space", None),
        ("space", 5),
        ("train", None),
        ("train", "cache"),
        ("asha", True),
        ("plateau", "no"),
        ("seed", 2**32),
        ("seed", -1),
        ("epochs", 2.5),
        ("gpus", float("inf")),
        ("concurrent", 0),
        ("device", [0, 1]),
        ("points", "p.yaml"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_a_problem_and_no_traceback(name: str, value: Any) -> None:
    assert problems_of(data="d.yaml", **{name: value}).keys() == {name}


def test_a_share_of_infinity_is_refused() -> None:
    assert problems_of(data="d.yaml", plateau={"patience": float("inf")}).keys() == {"plateau.patience"}


@pytest.mark.parametrize("text", ["- a\n", "", "word\n", "1: 2\n"])
def test_a_study_file_that_is_no_map_of_settings_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"study\.yaml: a study file is a map of settings"):
        load_settings(write(tmp_path / "study.yaml", text), {"data": "d.yaml"})
