"""`yolotune confirm` from the command line, with stand-ins for trials: the engine and the record are the real ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from processes import recorded_search, start, wait_for
from standin import StandIn
from studies import command
from wandb_reader import read_run
from yolotune._yaml import read_yaml
from yolotune.record.study import read_study

SETTINGS: dict[str, Any] = {
    "epochs": 6,
    "space": {"lr0": "loguniform(1e-4, 1e-1)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "warmup_bias_lr": 0.0},
    "wandb": "disabled",
    "budget": "1h",
}
POINTS = [
    ({"lr0": 0.001429, "batch": 6}, 0.2),
    ({"lr0": 0.003, "batch": 4}, 0.5),
    ({"lr0": 0.0025, "batch": 4}, 0.9),
    ({"lr0": 0.05, "batch": 6}, 0.1),
]


@pytest.fixture(scope="module")
def search(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search: trial 1 is better than the stand-in's defaults, trial 2 less so."""
    return recorded_search(tmp_path_factory.mktemp("searched"), shapes, POINTS, **SETTINGS)


def confirm(search: Path, *arguments: str, code: int = 0) -> str:
    return command(search.parent, "confirm", search.name, *arguments, by=StandIn, code=code)


def values(search: Path) -> dict[tuple[int, float, int], float]:
    """The value of every training by number, lr0 and seed."""
    trials = read_study(search / "confirm").trials
    return {(t.number, t.point["lr0"], t.point["seed"]): t.value for t in trials}  # type: ignore[misc]


@pytest.fixture(scope="module")
def confirmed(shared_ray: None, search: Path) -> Path:
    """The search after a confirm of two points on two seeds that was killed on its way and called again."""
    arguments = ["--top", "2", "--seeds", "2"]
    driver = start(search.parent, "confirm", search.name, *arguments, stand_in=True, STANDIN_EPOCH_S=0.3)
    folder = search / "confirm"
    wait_for(lambda: (folder / "study.yaml").exists() and len(read_study(folder).trials) >= 2)
    driver.kill()
    driver.communicate()
    assert not (folder / "confirmed.yaml").exists()
    ended = [trial.epochs for trial in read_study(folder).trials if trial.ending]
    assert ended
    assert "yolotune confirm study --top 2 --seeds 2" in command(search.parent, "status", str(folder))
    confirm(search, *arguments, "--wandb", "offline")
    assert [trial.epochs for trial in read_study(folder).trials][: len(ended)] == ended
    return search


def test_a_confirm_that_was_killed_trains_every_point_on_every_seed_once(confirmed: Path) -> None:
    record = read_study(confirmed / "confirm")
    assert record.verdicts == {"completed": 6}, "neither early stopping nor a budget of time ends them"
    assert [[row["epoch"] for row in trial.epochs] for trial in record.trials] == [[1, 2, 3, 4, 5, 6]] * 6
    assert [(trial.point["seed"], trial.point["lr0"]) for trial in record.trials] == [
        (seed, lr0) for seed in (1, 2) for lr0 in (0.001429, 0.0025, 0.003)
    ]
    run = read_run(max((confirmed / "confirm" / "wandb").glob("offline-run-*-0005")))
    assert (run.name, run.job_type, run.group) == ("confirm-0005", "confirm", "study")
    assert run.config["search_uid"] == read_study(confirmed).uid and run.config["seed"] == 2


def test_it_says_what_the_trainings_show(confirmed: Path) -> None:
    said = confirm(confirmed, "--top", "2", "--seeds", "2")
    assert "trial   0" not in said, "nothing is trained"
    trained = values(confirmed)
    document = read_yaml(confirmed / "confirm" / "confirmed.yaml", whole=True)
    assert document["seeds"] == [1, 2] and [point["trial"] for point in document["points"]] == [0, 2, 1]
    for place, point in enumerate(document["points"]):
        lr0 = POINTS[point["trial"]][0]["lr0"]
        assert point["values"] == [trained[place + 3 * seed - 3, lr0, seed] for seed in (1, 2)]  # type: ignore[index]
        assert point["winners_curse"] == pytest.approx(POINTS[point["trial"]][1] - sum(point["values"]) / 2)
    best = document["best"]
    assert (best["trial"], best["search_best"]) == (1, 0.9), "the search had thought trial 2 the best"
    assert "Trial 1 is better than the defaults by" in said and said.strip().endswith("holds trial 1, confirmed.")
    written = (confirmed / "best.yaml").read_text()
    assert f"# confirmed: mean seg_metrics/F1 {best['mean']:.5f} over seeds 1, 2." in written
    assert read_yaml(confirmed / "best.yaml")["lr0"] == 0.003


def test_points_and_seeds_are_added_and_what_is_there_stays(confirmed: Path, tmp_path: Path) -> None:
    search = Path(shutil.copytree(confirmed, tmp_path / "study"))
    before = values(search)
    confirm(search, "--top", "3", "--seeds", "3")
    after = values(search)
    assert before.items() < after.items() and len(after) == 4 * 3
    assert {(lr0, seed) for _, lr0, seed in after} == {(p["lr0"], s) for p, _ in POINTS for s in (1, 2, 3)}
    assert "3 of 3" in confirm(search, "--top", "1", "--seeds", "1")
    assert values(search) == after


def test_a_resumed_search_keeps_the_confirmed_point_until_a_trial_beats_what_it_knew(
    confirmed: Path, tmp_path: Path
) -> None:
    search = Path(shutil.copytree(confirmed, tmp_path / "study"))
    best = search / "best.yaml"
    held = best.read_text()
    best.unlink()
    command(tmp_path, "resume", "study", by=StandIn)  # nothing is left to train: best.yaml is made anew
    assert best.read_text() == held
    assert "yolotune confirm study" in command(tmp_path, "resume", "study/confirm", code=2)

    settings = read_yaml(search / "study.yaml", whole=True)
    settings |= {"points": [{"lr0": 0.0049, "batch": 4}], "num_samples": 5}  # better than the defaults, and below 0.9
    (search / "study.yaml").write_text(yaml.safe_dump(settings, sort_keys=False) + "# end\n")
    command(tmp_path, "resume", "study", by=StandIn)
    assert 0.5 < (read_study(search).trials[4].value or 0) < 0.9 and best.read_text() == held
    said = command(tmp_path, "best", "study")
    assert "Best: trial 1" in said and "over the fresh seeds 1, 2" in said


def test_what_cannot_be_confirmed_is_refused_before_the_first_epoch(search: Path, shapes: Path, tmp_path: Path) -> None:
    search = Path(shutil.copytree(search, tmp_path / "study", ignore=shutil.ignore_patterns("confirm")))
    data = Path(shutil.copytree(shapes.parent, tmp_path / "other")) / "data.yaml"
    next((data.parent / "labels").rglob("*.txt")).write_text("0 0.1 0.1 0.9 0.1 0.9 0.9\n")
    said = confirm(search, "--data", str(data), code=2)
    assert "not the dataset the study began with" in said and "yolotune retrain" in said
    assert not (search / "confirm" / "trials").exists()
    for trial in read_study(search).trials[1:]:
        shutil.rmtree(trial.folder)
    assert "nothing to confirm" in confirm(search, code=2)
    shutil.rmtree(search / "trials" / "0000")
    assert "trial 0, Ultralytics' defaults, is missing" in confirm(search, code=2)
