"""The charts: each is one that Plotly knows, shows what the record says, and another one is registered in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from records import write_study
from yolotune.config.scheduling import NoScheduler
from yolotune.record.study import read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.report import Chart, Results, chart, figure, register_chart
from yolotune.report.chart import build_charts
from yolotune.report.charts.best_so_far import best_so_far
from yolotune.report.formatting import duration, label, listed, number, wrapped
from yolotune.report.page import all_charts, render
from yolotune.report.photos import Photos
from yolotune.report.results import results_of
from yolotune.report.style import DARK, MARKS


def results_in(folder: Path) -> Results:
    return results_of(read_study(folder), {})


@pytest.mark.parametrize(
    "settings",
    [
        {"scheduler": "none"},
        {"scheduler": {"name": "asha", "brackets": 3}},
        {"scheduler": "halving"},
        {"objective": "val/seg_loss"},
        {"objective": "train_seg_metrics/F1"},
        {"train_metrics": False},
        {"search": "grid", "space": {"lr0": "grid_search([0.001, 0.01])", "optimizer": "grid_search([SGD, AdamW])"}},
        {"space": {"lr0": "loguniform(1e-4, 1e-1)"}},
        {"space": {"optimizer": "choice([AdamW])"}},
        {"endings": {n: Ending(verdict, "x") for n, verdict in enumerate(Verdict, start=1)}},
    ],
)
def test_every_chart_of_every_kind_of_study_is_one_that_plotly_knows(tmp_path: Path, settings: dict[str, Any]) -> None:
    results = results_in(write_study(tmp_path / "s", trials=12, epochs=10, **settings))
    charts = all_charts(build_charts(results))
    names = {one.name for one in charts}
    assert {"best-so-far", "curves"} <= names
    assert ("rungs" in names) == (not isinstance(results.settings.scheduler, NoScheduler))
    assert ("overfitting" in names) == settings.get("train_metrics", True)
    for one in charts:
        go.Figure(one.figure)  # refuses what it does not know
        assert len(one.alt) > 20 and any(trace.get("x") for trace in one.figure["data"])


def test_the_best_of_a_loss_goes_down(tmp_path: Path) -> None:
    values = {number: [level] * 3 for number, level in enumerate((1.5, 1.2, 1.8))}
    given = {"objective": "val/seg_loss", "scheduler": "none", "epochs": 3}
    found = best_so_far(results_in(write_study(tmp_path / "s", trials=3, values=values, **given)))
    assert found is not None and found.figure["data"][-1]["y"] == [1.5, 1.2, 1.2]


# --- rungs -------------------------------------------------------------------------------------------------------


def test_rungs_know_which_trials_met_and_which_were_cut(tmp_path: Path) -> None:
    asha = {"name": "asha", "grace_period": 0.1}
    results = results_in(write_study(tmp_path / "s", trials=20, scheduler=asha))
    record, rungs = results.record, results.rungs
    assert [rung.epoch for rung in rungs] == [3, 6, 12, 24]
    for rung in rungs:
        assert set(rung.scores) == {trial.number for trial in record.trials if len(trial.epochs) >= rung.epoch}
        assert list(rung.scores.values()) == sorted(rung.scores.values(), reverse=True)
        ended_here = {t.number for t in record.trials if t.verdict is Verdict.PRUNED and len(t.epochs) == rung.epoch}
        assert rung.cut == ended_here
    assert sum(len(rung.cut) for rung in rungs) == record.verdicts["pruned"] > 0


def test_rungs_of_halving_are_those_of_each_batch(tmp_path: Path) -> None:
    """Batches of 9, 9 and 2; the last trial of the third has not come to its first rung yet."""
    study = write_study(tmp_path / "s", trials=20, scheduler="halving")
    for path in (study / "trials" / "0018" / "verdict.yaml", study / "trials" / "0019" / "verdict.yaml"):
        path.unlink()
    rows = (study / "trials" / "0019" / "epochs.jsonl").read_text().splitlines(keepends=True)
    (study / "trials" / "0019" / "epochs.jsonl").write_text(rows[0])
    rows = (study / "trials" / "0018" / "epochs.jsonl").read_text().splitlines(keepends=True)
    (study / "trials" / "0018" / "epochs.jsonl").write_text("".join(rows[:3]))
    results = results_in(study)
    rungs = results.rungs
    assert [(rung.bracket, rung.epoch, len(rung.scores), len(rung.cut)) for rung in rungs] == [
        (batch, epoch, met, cut) for batch in (0, 1) for epoch, met, cut in ((3, 9, 6), (9, 3, 2), (27, 1, 0))
    ] + [(2, 3, 1, 0)]
    assert rungs[-1].waits and not rungs[0].waits
    for rung in rungs[:-1]:
        pruned = {t.number for t in results.record.trials if t.verdict is Verdict.PRUNED}
        assert rung.cut == {n for n in pruned & rung.scores.keys() if len(results.record.trial(n).epochs) == rung.epoch}


# --- another chart -----------------------------------------------------------------------------------------------


def epoch_times(results: Results) -> Chart | None:
    """Seconds of each trial's epochs."""
    x = [trial.number for trial in results.record.trials]
    y = [sum(row["seconds"] for row in trial.epochs) for trial in results.record.trials]
    drawn = figure([{"type": "bar", "x": x, "y": y}], x={"title": "trial"}, y={"title": "seconds"})
    return Chart("epoch-times", f"Seconds of {len(x)} trials.", drawn)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registrations of the test are gone after it."""
    monkeypatch.setattr(chart, "_BUILDERS", {section: list(found) for section, found in chart._BUILDERS.items()})


@pytest.mark.usefixtures("registered")
def test_a_new_chart_takes_one_line_and_no_change_of_the_page(tmp_path: Path) -> None:
    results = results_in(write_study(tmp_path / "s", trials=2, epochs=3))
    register_chart("Time", epoch_times)
    page = render(results, Photos([], []))
    heading, settings = page.index("<h2>Time</h2>"), page.index('<section id="settings">')
    assert settings < heading < page.index('id="chart-epoch-times"') < page.index("</main>")
    assert '<a href="#section-1">Time</a>' in page and '"epoch-times":{"data"' in page


@pytest.mark.usefixtures("registered")
def test_a_new_chart_may_stand_in_a_section_that_is_there(tmp_path: Path) -> None:
    results = results_in(write_study(tmp_path / "s", trials=2, epochs=3))
    register_chart("progress", epoch_times)
    register_chart("Nothing to draw", lambda results: None)
    names = [one.name for group in build_charts(results)["progress"] for one in group.charts]
    assert names == ["best-so-far", "epoch-times"]
    assert "Nothing to draw" not in render(results, Photos([], []))


@pytest.mark.usefixtures("registered")
def test_two_charts_of_one_name_are_refused(tmp_path: Path) -> None:
    register_chart("progress", epoch_times)
    register_chart("Time", epoch_times)
    with pytest.raises(ValueError, match="epoch-times"):
        build_charts(results_in(write_study(tmp_path / "s", trials=1, epochs=3)))


# --- texts, colours, photographs ---------------------------------------------------------------------------------


def test_words_and_numbers() -> None:
    assert label("train_seg_metrics/F1") == "mask F1, train"
    assert label("box_metrics/map50_95") == "box mAP50-95, val"
    assert (label("val/seg_loss"), label("train/dfl")) == ("seg loss, val", "dfl loss, train")
    assert (number(0.29155), number(0.00002), number(None), number(12345.6)) == ("0.2915", "2e-05", "–", "1.23e+04")
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")
    assert wrapped("<b>" + "x" * 900).startswith("&lt;b&gt;") and wrapped("x" * 900).count("<br>") == 5
    assert [duration(seconds) for seconds in (45, 720, 12240)] == ["45 s", "12 min", "3.4 h"]


def test_dark_has_a_colour_for_each_light_one() -> None:
    assert {color for color, _ in MARKS.values()} <= DARK.keys()
    assert set(MARKS) == {*Verdict, "running"}
