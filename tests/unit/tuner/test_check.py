"""What is known before the first epoch: every mistake, all at once, and what is legal but costs F1."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from yolotune.config.layers import make_settings
from yolotune.data.dataset import Dataset, load_dataset
from yolotune.data.shapes import make_shapes
from yolotune.display.tables import plan_lines
from yolotune.errors import UserError
from yolotune.record.folder import new_folder
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.schedulers import resolve
from yolotune.tuner.advice import advice, reminders
from yolotune.tuner.check import check
from yolotune.tuner.cluster import Node
from yolotune.tuner.plan import Resources
from yolotune.tuner.resources import share_resources, with_threads
from yolotune.tuner.settings_checks import check_settings
from yolotune.tuner.storage import CURVES, RESUMABLE, STATE, check_storage, disk_needed, share_images

MODEL = "yolo11n-seg.yaml"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny dataset; the working directory is an empty folder."""
    monkeypatch.chdir(tmp_path)
    return make_shapes(tmp_path / "shapes", train=6, val=3, size=32)


def found(**given: Any) -> list[str]:
    """Returns where the settings of a study are wrong."""
    return [problem.where for problem in check_settings(resolve(make_settings(data="d.yaml", **given)))]


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"space": {"lr0": [0, 0.1]}}, "optimizer"),  # optimizer auto, not given
        ({"space": {"lr0": [0, 0.1], "optimizer": "auto"}}, "optimizer"),
        ({"space": {"momentum": [0.8, 0.9], "optimizer": "choice([AdamW, auto])"}}, "optimizer"),
        ({"space": {"box": [5, 8], "optimizer": "choice([AdamW, Adamw2])"}}, "optimizer"),
        ({"space": {"box": [5, 8]}, "train": {"optimizer": 3}}, "train: optimizer"),
        ({"space": {"mosaic": [0, 1]}, "train": {"close_mosaic": 10}, "epochs": 10}, "close_mosaic"),
        ({"space": {"copy_paste": [0, 1], "close_mosaic": "randint(0, 13)"}, "epochs": 12}, "close_mosaic"),
        ({"train": {"close_mosaic": "late"}}, "train: close_mosaic"),
        ({"space": {"box": [5, 8], "warmup_epochs": "soon"}}, "train: warmup_epochs"),
        ({"space": {"box": [5, 8]}, "train": {"box": 7}}, "box"),
        ({"space": {"box": 7}}, "space"),
        ({"space": {"boxx": [5, 8]}}, "space: boxx"),
        ({"space": {"box": [8, 5], "cls": [0, 1]}}, "space: box"),
        ({"space": {"box": [5, 8], "imgsz": "choice([320, 640])"}}, "space: imgsz"),
        ({"space": {"box": [5, 8], "epochs": 5}}, "space: epochs"),
        ({"train": {"val": False}}, "train: val"),
        ({"train": {"mosiac": 0}}, "train: mosiac"),
        ({"train": {"nbs": 0}}, "train: nbs"),
        ({"train": {"cache": "dsik"}}, "train: cache"),
        ({"space": {"cache": "choice([true, false])", "box": [5, 8]}}, "space: cache"),
        ({"space": {"mosaic": "grid_search([0, 1])"}}, "space: mosaic"),
        ({"space": {"mosaic": [0, 1]}, "search": "grid"}, "space: mosaic"),
        ({"space": {"seed": "randint(0, 9)", "box": [5, 8]}}, "space: seed"),
        ({"scheduler": {"name": "asha", "grace_period": 25}, "epochs": 20}, "scheduler.grace_period"),
        ({"scheduler": {"name": "asha", "grace_period": 5, "brackets": 9}, "epochs": 20}, "scheduler.brackets"),
        ({"scheduler": {"name": "halving", "grace_period": 30}, "epochs": 20}, "scheduler.grace_period"),
    ],
)
def test_a_setting_that_cannot_work_is_named_alone(given: dict[str, Any], where: str) -> None:
    assert found(**given) == [where]


def test_a_sampler_that_nobody_registered_is_named_with_those_there_are() -> None:
    settings = resolve(make_settings(data="d.yaml", search="tpes"))
    [problem] = check_settings(settings)
    assert problem.where == "search" and "Did you mean tpe?" in problem.what and "use one of auto, tpe" in problem.fix
    assert check_settings(settings, optuna.samplers.TPESampler()) == [], "an object takes its place"
    assert [one.where for one in check_settings(settings, "TPESampler")] == ["sampler"]


def test_a_budget_below_one_training_is_refused() -> None:
    (problem,) = check_settings(resolve(make_settings(data="d.yaml", budget=8)))
    assert str(problem).startswith("budget: 8 epochs are fewer than the 250 of one training")
    assert not check_settings(resolve(make_settings(data="d.yaml", budget=250)))


@pytest.mark.parametrize(
    "given",
    [
        {"space": {"lr0": [0, 0.1], "optimizer": "SGD"}},
        {"space": {"box": [5, 8]}},  # optimizer auto is fine where it makes nothing inert
        {"space": {"mosaic": [0, 1]}, "epochs": 5},
        {"space": {"mosaic": "grid_search([0, 1])", "batch": "choice([8, 16])"}, "search": "grid"},
        {"space": {"warmup_epochs": "randint(0, 3)", "box": [5, 8]}, "epochs": 2, "scheduler": "none"},
        {"train": {"batch": -1}, "space": {"box": [5, 8]}},
        {"scheduler": {"name": "asha", "grace_period": 5, "brackets": 2}, "epochs": 20},
    ],
)
def test_a_setting_that_works_is_left_alone(given: dict[str, Any]) -> None:
    assert found(**given) == []


def test_a_grid_too_large_to_list_is_refused_at_once() -> None:
    assert found(search="grid", space={"close_mosaic": "randint(0, 100)", "nbs": "randint(1, 5000)"}) == ["search"]


# --- resources ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says how many GPUs the machine shows."""

    def show(count: int, visible: str | None = None) -> None:
        monkeypatch.setattr("torch.cuda.device_count", lambda: count)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return show


def shares_of(nodes: Sequence[Node] | None = None, **given: Any) -> Resources:
    return share_resources(resolve(make_settings(**given)), nodes)


def test_the_share_of_a_trial_is_that_of_the_guide(cards: Any) -> None:
    cards(1)
    shares = shares_of(data="d", concurrent=2, cpus=8)
    assert (shares.gpus, shares.gpu_share, shares.cpu_share) == (1.0, 0.5, 4.0)
    assert (shares.threads, shares.workers, shares.visible) == (4, 3, None)


def test_on_a_cpu_there_is_no_gpu_share_and_no_worker(cards: Any) -> None:
    cards(2)
    shares = shares_of(data="d", device="CPU", cpus=4, concurrent=2)
    assert (shares.gpus, shares.gpu_share, shares.threads, shares.workers) == (0.0, 0.0, 2, 0)


@pytest.mark.parametrize(
    ("count", "given", "where"),
    [
        (0, {"device": "0"}, "device"),
        (2, {"device": "2"}, "device"),
        (2, {"device": "0,"}, "device"),
        (2, {"device": "cuda"}, "device"),
        (1, {"gpus": 2}, "gpus"),
        (2, {"device": "1", "gpus": 2}, "gpus"),
        (0, {"concurrent": 3, "cpus": 2}, "concurrent"),
    ],
)
def test_what_the_machine_cannot_carry_is_refused(cards: Any, count: int, given: dict[str, Any], where: str) -> None:
    cards(count)
    with pytest.raises(UserError) as caught:
        shares_of(data="d", **{"cpus": 16, **given})
    assert [problem.where for problem in caught.value.problems] == [where]


@pytest.mark.parametrize(("gpus", "concurrent"), [(1, 7), (2, 2), (2, 3), (3, 2), (2, 1), (0.5, 2)])
def test_what_fits_is_accepted(cards: Any, gpus: float, concurrent: int) -> None:
    cards(4)
    assert shares_of(data="d", gpus=gpus, concurrent=concurrent, cpus=16).gpu_share == gpus / concurrent


def test_a_device_counts_among_the_cards_that_are_seen(cards: Any) -> None:
    cards(4)
    assert shares_of(data="d", device="1, 3").visible == "1,3"
    cards(2, "5,GPU-8932f937")
    assert shares_of(data="d", device="1,0").visible == "GPU-8932f937,5"


# --- storage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "imgsz", "cpus", "count", "wanted"),
    [
        ("yolo11n-seg.yaml", 128, 4, 0, 1),
        ("yolo11n-seg.yaml", 160, 4, 0, 4),
        ("yolo11n-seg.yaml", None, 4, 0, 4),
        ("yolo11s-seg.yaml", 128, 4, 0, 4),
        ("yolo11n-seg.yaml", 96, 4, 1, 4),
    ],
)
def test_small_images_are_trained_on_one_thread(
    cards: Any, model: str, imgsz: int | None, cpus: int, count: int, wanted: int
) -> None:
    cards(count)
    study = make_settings(data="d", cpus=cpus, concurrent=1, train={} if imgsz is None else {"imgsz": imgsz})
    share = with_threads(share_resources(resolve(study)), study, model)
    assert share.threads == wanted


def test_a_place_that_is_not_there_yet_is_fine_and_nothing_is_created(tmp_path: Path) -> None:
    assert check_storage(new_folder(make_settings(data="d", project=str(tmp_path / "new" / "place")))) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    [problem] = check_storage(new_folder(make_settings(data="d", project=str(tmp_path / "file"))))
    assert problem.where == str(tmp_path / "file") and "cannot be written to" in problem.what


def test_a_folder_that_holds_a_study_is_named_and_an_empty_one_is_taken(tmp_path: Path) -> None:
    study = make_settings(data="d", project=str(tmp_path), name="fish", exist_ok=True)
    (tmp_path / "fish").mkdir()
    assert check_storage(new_folder(study)) == []
    (tmp_path / "fish" / "trials").mkdir()
    assert "holds a study already" in check_storage(new_folder(study))[0].what
    assert check_storage(new_folder(study.model_copy(update={"exist_ok": False}))) == []  # fish-2 is free


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 5_000_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    folder = new_folder(make_settings(data="d", project=str(tmp_path)))
    assert check_storage(folder, 4_800_000_000) == []
    assert check_storage(folder, 6_000_000_000)[0].what == "5 GB free, the study fills up to 6.2 GB."
    (folder / "trials").mkdir(parents=True)
    (folder / "trials" / "big").write_bytes(bytes(2_000_000))
    assert check_storage(folder, 4_801_000_000, goes_on=True) == [], "what is there already is counted"


def test_the_disk_forecast_is_bounded_by_what_is_kept(tmp_path: Path) -> None:
    weights = tmp_path / "w.pt"
    weights.write_bytes(bytes(10_000_000))

    def needed(**given: Any) -> int:
        slots, tracking = given.get("concurrent", 1), given.pop("wandb", "disabled")
        return disk_needed(resolve(make_settings(data="d", num_samples=50, **given)), str(weights), tracking, slots)

    running = 4 * RESUMABLE * 10_000_000
    assert needed() == 50 * (10_000_000 + CURVES) + running
    assert needed(keep_weights="best", concurrent=2) == 2 * 10_000_000 + 50 * CURVES + 2 * running
    assert needed(keep_weights="top-4") == 5 * 10_000_000 + 50 * CURVES + running
    paused = (2 * RESUMABLE + STATE) * 10_000_000
    assert needed(scheduler="halving") == needed() + 8 * paused, "a batch of 9, one of them running"
    assert needed(scheduler="halving", concurrent=2) == needed(concurrent=2) + 16 * paused
    assert needed(scheduler="halving", concurrent=8) == needed(concurrent=8) + 42 * paused, "50 at most"
    assert needed(wandb="offline") == needed() + 50 * (10_000_000 + CURVES)


def test_auto_is_as_many_slots_as_cores_and_a_quarter_of_the_trials(cards: Any) -> None:
    cards(0)
    shares = shares_of(data="d", num_samples=40, cpus=8)
    assert (shares.slots, shares.auto, shares.cpu_share) == (8, True, 1.0)
    assert shares_of(data="d", num_samples=8, cpus=8).slots == 2
    assert not shares_of(data="d", num_samples=5, cpus=8).auto, "one slot is no choice"
    trainings = share_resources(resolve(make_settings(data="d", num_samples=5, cpus=8)), learns=False)
    assert trainings.slots == 5, "trainings that learn nothing from each other"
    assert shares_of(NODES, data="d", num_samples=40).slots == 3, "a slot for each card of a cluster"
    assert not shares_of(NODES, data="d", num_samples=40).auto


@pytest.fixture
def free_memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says how much memory is free."""
    return lambda size: monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=size))


def shared_images(data: Path, disk: int = 10**12, machines: int = 1, **given: Any) -> tuple[int, str]:
    settings = resolve(make_settings(data=str(data), imgsz=64, **given))
    return share_images(settings, load_dataset(data), disk, machines)


SHARED = 9 * 64 * 64 * 3


def test_images_are_shared_where_memory_and_disk_have_room(data: Path, free_memory: Any) -> None:
    free_memory(2 * SHARED)
    assert shared_images(data, SHARED) == (SHARED, "")
    assert shared_images(data, 2 * SHARED, machines=2)[0] == 2 * SHARED, "each machine keeps its own"
    for size, why in (shared_images(data, SHARED - 1), shared_images(data, SHARED, machines=2)):
        assert size == 0 and "the disk has no room" in why
    free_memory(2 * SHARED - 1)
    size, why = shared_images(data)
    assert size == 0 and "do not fit into 0 MB, half of the free memory" in why


@pytest.mark.parametrize(
    ("train", "size"),
    [
        ({}, SHARED),
        ({"cache": True}, SHARED),
        ({"cache": "disk"}, SHARED),
        ({"cache": "ram"}, SHARED),
        ({"cache": False}, 0),
        ({"fraction": 0.5}, SHARED * 6 // 9),
        ({"fraction": 1}, SHARED * 4 // 9),
    ],
    ids=str,
)
def test_the_cache_argument_means_shared_images(data: Path, train: dict[str, Any], size: int) -> None:
    assert shared_images(data, train=train) == (size, "")


def test_the_plan_says_so_and_counts_them(data: Path) -> None:
    given: dict[str, Any] = {"data": str(data), "model": MODEL, "device": "cpu", "epochs": 20, "imgsz": 64}
    plan, own = check(make_settings(**given)), check(make_settings(**given, train={"cache": False}))
    assert (plan.images, own.images, plan.disk - own.disk) == (SHARED, 0, SHARED)


NODES = [Node("10.0.0.1", 8, 1), Node("10.0.0.2", 16, 2)]


def test_a_trial_lies_on_one_node(cards: Any) -> None:
    cards(0)
    shares = shares_of(NODES, data="d", concurrent=3)
    assert (shares.cpu_share, shares.gpu_share, shares.threads, shares.workers) == (8.0, 1.0, 8, 7)
    for concurrent, share in ((1, 16.0), (2, 8.0), (3, 8.0), (4, 16 / 3), (6, 4.0)):
        assert shares_of(NODES, data="d", concurrent=concurrent, device="cpu").cpu_share == share
    assert shares_of(NODES, data="d", concurrent=5).gpu_share == 0.5
    for given, where in (
        ({"concurrent": 2, "cpus": 24, "device": "cpu"}, "concurrent"),  # 12 cores each, and one node has 8
        ({"concurrent": 2, "gpus": 3}, "concurrent"),  # a card and a half each
        ({"device": "0"}, "device"),
        ({"gpus": 4}, "gpus"),
        ({"cpus": 25, "device": "cpu"}, "cpus"),
    ):
        with pytest.raises(UserError) as caught:
            shares_of(NODES, data="d", **given)
        assert [problem.where for problem in caught.value.problems] == [where]


# --- notes -------------------------------------------------------------------------------------------------------


def said(data: Path, **given: Any) -> str:
    return "\n".join(advice(resolve(make_settings(data=str(data), **given)), load_dataset(str(data))))


def test_the_guide_warns_once_with_the_figure_of_each_rule_that_costs_f1(data: Path) -> None:
    lines = said(data, preset="guide").splitlines()
    for start, figure in (
        ("lr0 up to 0.1", "0.01 at 0.05"),
        ("perspective up to 0.1", "95 %"),
        ("hsv_h up to 0.5", "0.1"),
        ("dropout", "in vain"),
        ("warmup_bias_lr is 0.1", "50 to 1000"),
        ("plateau rule std", "less than 0.0071 an epoch; the guide's numbers stopped 37 of 37"),
        ("trial 0", "cls 0.5 is outside uniform(1.0, 3.0)"),
    ):
        [line] = [line for line in lines if line.startswith(start)]
        assert figure in line


def test_the_default_preset_has_nothing_to_say_but_the_few_validation_images(data: Path) -> None:
    assert said(data) == "3 validation images: one object more or less moves F1 visibly."


def test_a_patience_as_long_as_a_trial_is_noted(data: Path) -> None:
    assert "it can stop none" in said(data, epochs=10, plateau={"patience": 10})


def test_more_trials_than_a_budget_carries_are_noted(data: Path) -> None:
    carried = resolve(make_settings(data="d.yaml", budget=2000)).num_samples
    lines = [line for line in said(data, budget=2000, num_samples=50).splitlines() if "budget" in line]
    assert len(lines) == 1 and f"It would carry {carried}" in lines[0]
    assert "budget" not in said(data, budget=2000)


# --- all together ------------------------------------------------------------------------------------------------


def test_a_right_study_becomes_a_plan(data: Path) -> None:
    study = make_settings(data=str(data), model=MODEL, device="cpu", cpus=2, concurrent=2, epochs=20)
    plan = check(study)
    assert isinstance(plan.dataset, Dataset) and plan.dataset.images == {"train": 6, "val": 3}
    assert (plan.model, plan.dataset.nc) == (MODEL, 3)
    assert [point["batch"] for point in plan.points] == [16]
    assert plan.points[0]["lr0"] == 0.001429
    assert not Path("runs").exists()


def test_a_plan_is_told_in_plain_lines_that_rich_does_not_swallow(data: Path) -> None:
    from rich.text import Text

    space = {"optimizer": "choice([sgd, adamw])", "box": [5, 8]}
    plan = check(make_settings(data=str(data), model=MODEL, device="cpu", epochs=20, space=space))
    shown = "\n".join(Text.from_markup(line).plain for line in plan_lines(plan))
    assert "AdamW is outside choice([sgd, adamw]): sgd instead" in shown
    assert re.search(r"6 train, 3 val images, 3 classes", shown)


def test_bad_labels_are_left_out_only_when_told_so_and_counted(data: Path, tmp_path: Path) -> None:
    made = shutil.copytree(data.parent, tmp_path / "made")
    label = sorted((made / "labels" / "train").glob("*.txt"))[0]
    label.write_text("99 0.1 0.1 0.2 0.2 0.1 0.3\n")
    given = {"model": "yolo11n-seg.yaml", "project": str(tmp_path), "device": "cpu", "wandb": "disabled"}
    with pytest.raises(UserError, match=label.name):
        check(make_settings(data=str(made / "data.yaml"), **given))
    plan = check(make_settings(data=str(made / "data.yaml"), allow_bad_labels=True, **given))
    assert "1 images of train are left out, with bad labels or unreadable." in plan.notes
    assert plan.dataset.described()["ignored"]["train"] == 1


def test_everything_that_is_wrong_is_told_at_once(data: Path) -> None:
    study = make_settings(
        data="missing.yaml",
        model="missing.pt",
        device="7",
        project=str(data),
        space={"lr00": [0, 1], "box": [8, 5], "mosaic": "grid_search([0, 1])"},
        train={"epoch": 3},
        points=["missing-point.yaml"],
    )
    with pytest.raises(UserError) as caught:
        check(study)
    places = [problem.where for problem in caught.value.problems]
    assert {"space: box", "space: lr00", "space: mosaic", "train: epoch", "model", "device", str(data)} <= set(places)
    assert any("missing.yaml" in place for place in places)
    assert len(places) == len(set(places))


def test_a_misspelt_argument_is_told_together_with_a_missing_point(data: Path) -> None:
    study = make_settings(
        data=str(data), model=MODEL, device="cpu", space={"mosiac": [0, 1]}, points=["missing-point.yaml"]
    )
    with pytest.raises(UserError) as caught:
        check(study)
    assert [problem.where for problem in caught.value.problems] == ["space: mosiac", "missing-point.yaml"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("yolo11n.yaml", None, "task 'detect', expected 'segment'"),
        ("nothing-seg.yaml", None, "no architecture"),
        ("broken.yaml", "a: [", "cannot be read as an architecture"),
        ("empty.yaml", "", "task 'detect', expected 'segment'"),
        ("model.onnx", "x", "expected weights"),
        ("notes.pt", "no weights", "it is no file that PyTorch wrote"),
        ("page.pt", "<html>404</html>", "a web page"),
        ("empty.pt", "", "the file is empty"),
    ],
)
def test_a_model_that_will_not_train_is_refused(data: Path, name: str, content: str | None, reason: str) -> None:
    if content is not None:
        Path(name).write_text(content)
    with pytest.raises(UserError, match=reason) as caught:
        check(make_settings(data=str(data), model=name, device="cpu"))
    assert len(caught.value.problems) == 1


def test_what_may_be_otherwise_than_the_user_thinks_is_said(tmp_path: Path) -> None:
    given = {"data": "d", "project": str(tmp_path), "name": "my study"}
    settings = make_settings(**given, imgsz=100, train={"batch": 16, "nbs": 32})
    assert [*reminders(settings, None)] == [
        "fixed, not searched: batch 16.",
        "imgsz 100 becomes 128, a multiple of 32, as Ultralytics rounds it.",
    ]
    assert settings.fixed["imgsz"] == 128
    before = resolve(make_settings(**given, num_samples=8))
    record = RecordWriter(tmp_path / "my study", metric="seg_metrics/F1", mode="max")
    record.create(before.model_dump(), {})
    [said] = reminders(before, None)
    assert "has 0 of 8 trials" in said and f"yolotune resume '{tmp_path}/my study'" in said
    assert [*reminders(before, tmp_path / "my study")] == []
    for number in range(8):
        record.start(number, {})
        record.end(number, Ending(Verdict.COMPLETED, "all"), {})
    assert [*reminders(before, None)] == [], "it has ended"
