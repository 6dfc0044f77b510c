"""Studies that know of each other: what one finds, a later one on similar data begins with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from processes import finish, start, write_study
from yolotune.history import history_file, read_history
from yolotune.record import StudyRecord, read_study
from yolotune.shapes import make_shapes

SETTINGS: dict[str, Any] = {
    "epochs": 4,
    "num_samples": 5,
    "space": {"lr0": "loguniform(1e-4, 1e-1)", "cls": "uniform(0.3, 3.0)"},
    "train": {"optimizer": "AdamW", "warmup_bias_lr": 0.0},
    "wandb": "disabled",
    "top": 2,
}


def test_a_study_begins_with_what_earlier_ones_found(shapes: Path, tmp_path: Path) -> None:
    def command(*words: str) -> str:
        return finish(start(tmp_path, *words, stand_in=True))

    def study(name: str, *flags: str, data: Path = shapes, **settings: Any) -> tuple[StudyRecord, str]:
        said = command("run", write_study(tmp_path, data, name=name, **{**SETTINGS, **settings}), *flags)
        return read_study(tmp_path / name), said

    good = [{"lr0": 0.005, "cls": 1.0}, {"lr0": 0.009, "cls": 2.5}]  # the nearer lr0 is to 0.005, the better
    history_file().parent.mkdir(parents=True)
    history_file().write_text('{"torn')
    first, said = study("first", search="random", points=good)
    assert "passed over 1 of 1 lines" in said and "--no-history" not in said and "not in it" not in said
    [known], notes = read_history()
    assert notes == [], "the damaged line is gone"
    ranked = sorted(first.trials, key=lambda trial: trial.value or 0.0, reverse=True)
    assert [trial.point for trial in ranked[:2]] == good
    assert [point.trial for point in known.points] == [t.number for t in ranked[: ranked.index(first.trials[0])]]

    others = make_shapes(tmp_path / "others", train=14, val=6, size=64, seed=7)
    second, said = study("second", data=others)
    assert "of first (other data, trial" in said and "tried after the defaults; off with --no-history" in said
    provenance = second.settings["warm_from"]
    assert "search: gp, for 2 points of earlier studies are known" in said and second.settings["search"] == "gp"
    given = [first.trials[one["trial"]].point for one in provenance]
    assert given == good
    assert [trial.point for trial in second.trials][1 : 1 + len(given)] == given
    assert second.trials[1].value == ranked[0].value
    page = (second.folder / "report.html").read_text()
    assert "The search did not begin from nothing: it was given" in page
    assert f"trial {ranked[0].number} of first (history)" in page
    told = json.loads(command("status", "second", "--json"))["warm_from"]
    assert [(one["study"], one["by"]) for one in told] == [("first", "history")] * len(given)
    assert json.loads(command("best", "second", "--json"))["trial"] == second.best.number  # type: ignore[union-attr]
    assert [one.name for one in read_history()[0]] == ["first", "second"]

    before = history_file().read_bytes()
    third, said = study("third", "--no-history")
    assert "history" not in said.lower()
    assert third.settings["warm_from"] == [] and third.settings["warm_points"] == []
    assert third.settings["search"] == "tpe"
    assert not [trial for trial in third.trials if trial.point in good]
    assert "The search did not begin from nothing" not in (third.folder / "report.html").read_text()
    assert history_file().read_bytes() == before, "--no-history leaves no trace either"

    command("resume", "second", "--num-samples", "6")
    after, names = read_study(second.folder), [one.name for one in read_history()[0]]
    assert after.settings["warm_from"] == provenance and len(after.trials) == 6
    assert names == ["first", "second"], "a study that goes on is the same study"

    command("confirm", "first", "--top", "1", "--seeds", "2")
    command("retrain", "third")
    kept = {one.name: one.points for one in read_history()[0]}
    assert kept.keys() == {"first", "second"}, "trainings of the same points are no studies of their own"
    assert kept["first"][0].trial == ranked[0].number and kept["first"][0].confirmed is not None
