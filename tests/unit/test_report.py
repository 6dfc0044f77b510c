"""The report says what the record says, is honest where that is little, and shows what users wrote letter by letter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from records import ENVIRONMENT, write_study
from yolotune.config.settings import load_settings
from yolotune.errors import UserError
from yolotune.record.study import Ending, Verdict, read_study
from yolotune.report import course, ladder, page, story
from yolotune.report.charts import DARK, MARKS, SHOWN, label, listed, number, shown_trials, wrapped
from yolotune.report.facts import Facts, Gain, gather
from yolotune.report.influence import influence
from yolotune.report.page import sections, write_report
from yolotune.report.predict import best_confidence, spread
from yolotune.tuner import runner as engine
from yolotune.tuner.plan import Listener

HOSTILE = "</script><img src=x onerror=alert(1)>"
FULL = Ending(Verdict.COMPLETED, "all 30 epochs")


def facts_of(folder: Path) -> Facts:
    return gather(read_study(folder), json.loads((folder / "environment.json").read_text()))


def text_of(folder: Path) -> str:
    """Returns a study's page without plotly.js."""
    text = write_report(folder, photos=False).read_text(encoding="utf-8")
    assert "plotly.js v" in text
    return re.sub(r"<script nonce=\"[^\"]+\">.*?</script>", "", text, flags=re.DOTALL)


def words_of(folder: Path) -> str:
    facts = facts_of(folder)
    return " ".join([*story.verdict(facts), *story.certainty(facts)])


def flat(level: float, jitter: float = 0.001, epochs: int = 30) -> list[float]:
    """Returns a curve that moves by `jitter` and is best at its end."""
    return [level - jitter * (epoch % 2) for epoch in range(epochs - 1)] + [level]


# --- the verdict -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("best", "jitter", "kind"),
    [(0.505, 0.001, Gain.NOISE), (0.525, 0.001, Gain.LIKELY), (0.60, 0.001, Gain.CLEAR), (0.55, 0.06, Gain.NOISE)],
)
def test_a_gain_is_held_against_the_noise(tmp_path: Path, best: float, jitter: float, kind: Gain) -> None:
    values = {0: flat(0.5, jitter), 1: flat(best, jitter)}
    facts = facts_of(write_study(tmp_path / "s", trials=2, values=values, asha=None))
    assert facts.noise.sampling == pytest.approx((best * (1 - best) / 1200) ** 0.5)
    assert facts.noise.jitter == pytest.approx(jitter)
    assert facts.gain == pytest.approx(best - 0.5)
    assert facts.kind is kind
    said = " ".join(story.certainty(facts))
    assert ("may be noise" in said) == (kind is Gain.NOISE)


def test_few_validation_objects_make_a_gain_doubtful(tmp_path: Path) -> None:
    small = {**ENVIRONMENT, "dataset": {**ENVIRONMENT["dataset"], "instances": {"train": 90, "val": 25}}}
    values = {0: flat(0.5), 1: flat(0.56)}
    study = write_study(tmp_path / "s", trials=2, values=values, asha=None, environment=small)
    assert facts_of(study).kind is Gain.NOISE
    assert "25 labelled objects" in words_of(study)


def test_trial_0_as_the_best_is_said_plainly(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=2, values={0: flat(0.7), 1: flat(0.5)}, asha=None)
    assert facts_of(study).kind is Gain.NONE
    assert "which no point of the search has beaten" in words_of(study)
    assert "has not beaten" in text_of(study)


def test_nothing_is_compared_with_defaults_that_were_cut_short(tmp_path: Path) -> None:
    endings = {0: Ending(Verdict.PRUNED, "rung"), 1: FULL}
    study = write_study(tmp_path / "s", trials=2, values={0: flat(0.1, epochs=5), 1: flat(0.6)}, endings=endings)
    assert facts_of(study).kind is Gain.UNKNOWN
    assert "what was won over them is unknown" in words_of(study)
    assert all("over the defaults" not in what for _, what, _ in story.tiles(facts_of(study)))


def test_epochs_and_time_are_added_up(tmp_path: Path) -> None:
    values = {0: flat(0.5), 1: flat(0.1, epochs=10)}
    study = write_study(tmp_path / "s", trials=2, values=values, endings={1: Ending(Verdict.PRUNED, "rung")})
    facts = facts_of(study)
    assert (facts.full_epochs, facts.study.epochs_trained, facts.seconds) == (60, 40, 100.0)
    assert facts.saved == pytest.approx(1 / 3)
    assert "2 trials (1 completed and 1 pruned) trained 40 epochs in 2 min" in words_of(study)


def test_less_is_better_where_the_objective_is_a_loss(tmp_path: Path) -> None:
    values = {0: flat(1.5, -0.001), 1: flat(1.2, -0.001), 2: flat(1.8, -0.001)}
    study = write_study(tmp_path / "s", trials=3, values=values, objective="val/seg_loss", asha=None)
    facts = facts_of(study)
    assert facts.best is not None and facts.best.number == 1
    assert facts.gain == pytest.approx(0.3) and facts.kind is Gain.CLEAR
    assert facts.noise.sampling is None, "a loss is no share of the objects"
    assert ("−0.300", "over the defaults") in [(big, what) for big, what, _ in story.tiles(facts)]
    assert "less is better" in words_of(study)
    chart = course.best_so_far(facts)
    assert chart is not None and chart.figure["data"][-1]["y"] == [1.5, 1.2, 1.2]


def test_next_steps_quote_what_a_shell_would_split(tmp_path: Path) -> None:
    study = write_study(tmp_path / "my study; rm -rf", trials=2, values={0: flat(0.5), 1: flat(0.8)})
    steps = story.next_steps(facts_of(study))
    assert steps and all(f"'{study}" in step.command for step in steps)


def test_a_running_and_an_interrupted_study_say_how_to_go_on(tmp_path: Path) -> None:
    running = write_study(tmp_path / "a", trials=2, endings={1: None})
    stopped = write_study(tmp_path / "b", trials=2, endings={1: Ending(Verdict.INTERRUPTED, "the study was stopped")})
    for study, words in ((running, "Trial 1 is without a verdict"), (stopped, "Trial 1 is interrupted")):
        assert words in words_of(study)
        assert story.next_steps(facts_of(study))[0].command == f"yolotune resume {study}"
        assert words in text_of(study)


# --- little to say ---------------------------------------------------------------------------------------------------


def test_an_empty_study_gives_a_page(tmp_path: Path) -> None:
    text = text_of(write_study(tmp_path / "s", trials=0))
    assert "No trial has a value yet" in text and "No trial has been started yet" in text


def test_a_study_whose_trials_all_failed_says_why(tmp_path: Path) -> None:
    endings = {n: Ending(Verdict.FAILED, "CUDA error: no kernel image") for n in range(3)}
    study = write_study(tmp_path / "s", trials=3, values={n: [] for n in range(3)}, endings=endings)
    (study / "trials" / "0001" / "error.txt").write_text("Traceback\n  line 7\nRuntimeError: the very last line")
    text = text_of(study)
    assert text.count("CUDA error: no kernel image") >= 3
    assert "RuntimeError: the very last line" in text


@pytest.mark.parametrize(("trials", "shown"), [(9, False), (30, True)])
def test_importance_needs_ten_trials(tmp_path: Path, trials: int, shown: bool) -> None:
    study = write_study(tmp_path / "s", trials=trials)
    assert ('id="importance"' in text_of(study)) == shown
    assert ("importance means nothing yet" in text_of(study)) == (not shown)


def test_a_study_without_environment_json_still_reports(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=3)
    (study / "environment.json").write_text("{torn")
    assert "versions and dataset are unknown" in text_of(study)


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study\.yaml is missing"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"asha": None},
        {"asha": {"brackets": 3}},
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
    study = write_study(tmp_path / "s", trials=14, **settings)
    charts = page._charts(sections(facts_of(study), load_settings(study, {})))
    assert {"best-so-far", "curves"} <= {chart.name for chart in charts}
    for chart in charts:
        go.Figure(chart.figure)  # refuses what it does not know
        assert len(chart.alt) > 20 and any(trace.get("x") for trace in chart.figure["data"])
    assert len({chart.name for chart in charts}) == len(charts)
    names = {chart.name for chart in charts}
    assert ("rungs" in names) == (load_settings(study, {}).asha is not None)
    assert ("overfitting" in names) == settings.get("train_metrics", True)
    write_report(study, photos=False)


# --- what the numbers are --------------------------------------------------------------------------------------------


def test_rungs_know_who_met_and_who_was_cut(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=20, asha={"grace_period": 0.1})
    record = read_study(study)
    rungs = ladder.rungs(record, load_settings(study, {}))
    assert [rung.epoch for rung in rungs] == [3, 6, 12, 24]
    for rung in rungs:
        assert set(rung.scores) == {trial.number for trial in record.trials if len(trial.epochs) >= rung.epoch}
        assert list(rung.scores.values()) == sorted(rung.scores.values(), reverse=True)
        ended_here = {t.number for t in record.trials if t.verdict is Verdict.PRUNED and len(t.epochs) == rung.epoch}
        assert rung.cut == ended_here
    assert sum(len(rung.cut) for rung in rungs) == record.verdicts["pruned"] > 0


def test_rungs_of_halving_are_those_of_each_batch(tmp_path: Path) -> None:
    """Batches of 9, 9 and 2; the last trial of the third has not come to its first rung yet."""
    running = {"values": {19: [0.1]}, "endings": {18: None, 19: None}}
    study = write_study(tmp_path / "s", trials=20, scheduler="halving", **running)
    record = read_study(study)
    rungs = ladder.rungs(record, load_settings(study, {}))
    assert [(rung.bracket, rung.epoch, len(rung.scores), len(rung.cut)) for rung in rungs] == [
        (batch, epoch, met, cut) for batch in (0, 1) for epoch, met, cut in ((3, 9, 6), (9, 3, 2), (27, 1, 0))
    ] + [(2, 3, 1, 0)]
    assert rungs[-1].waits and not rungs[0].waits
    for rung in rungs[:-1]:
        ended_here = {t.number for t in record.trials if t.verdict is Verdict.PRUNED and len(t.epochs) == rung.epoch}
        assert rung.cut == ended_here & rung.scores.keys()
    page = text_of(study)
    assert "Halving cut 16 trials at 7 rungs of 3 batches." in page and "<th>batch</th>" in page


def test_importance_finds_what_decides_and_not_what_does_not(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=60, asha=None)
    found = influence(read_study(study), load_settings(study, {}))
    assert found is not None and found.trials == 60
    assert found.strong == ["lr0"] and sum(found.shares.values()) == pytest.approx(1)


def test_points_of_an_older_space_are_left_out_of_the_importance(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=30)
    (study / "trials" / "0003" / "point.yaml").write_text("schema: 1\nlr0: 0.5\n# end\n")
    found = influence(read_study(study), load_settings(study, {}))
    assert found is not None and found.trials == 29
    write_report(study, photos=False)


def test_gaps_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=1, values={0: [0.1, 0.9, 0.5]}, epochs=3)
    assert course.gaps(read_study(study)) == {0: pytest.approx(0.02)}


def test_large_studies_show_the_best_trial_0_and_a_sample(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path / "s", trials=SHOWN + 60, epochs=2))
    shown = shown_trials(study)
    assert len(shown) == SHOWN and study.trials[0] in shown and study.best in shown
    later = [trial for trial in shown if trial.number > SHOWN]
    assert len(later) > 20, "no time of the study is missing"


def test_the_page_stays_small_and_quick(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=50)
    began = time.monotonic()
    size = write_report(study, photos=False).stat().st_size
    assert time.monotonic() - began < 5
    assert size < 8e6


def test_words_and_numbers() -> None:
    assert label("train_seg_metrics/F1") == "mask F1, train"
    assert label("box_metrics/map50_95") == "box mAP50-95, val"
    assert (label("val/seg_loss"), label("train/dfl")) == ("seg loss, val", "dfl loss, train")
    assert (number(0.29155), number(0.00002), number(None), number(12345.6)) == ("0.2915", "2e-05", "–", "1.23e+04")
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")
    assert wrapped("<b>" + "x" * 900).startswith("&lt;b&gt;") and wrapped("x" * 900).count("<br>") == 5


def test_dark_has_a_colour_for_each_light_one() -> None:
    assert {color for color, _ in MARKS.values()} <= DARK.keys()
    assert set(MARKS) == {*Verdict, "running"}


def test_photographs_are_taken_evenly_and_models_at_their_best() -> None:
    assert spread([str(n) for n in range(60)], 6) == ["5", "15", "25", "35", "45", "55"]
    assert spread(["a", "b"], 6) == ["a", "b"]
    sure = [([(0.9, True), (0.2, False)], 1), ([(0.6, True), (0.1, False)], 1)]
    assert best_confidence(sure) == 0.6
    assert best_confidence([([], 3)]) == 0.25


# --- what users wrote ------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Collects what a browser would build."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def hostile_study(folder: Path) -> Path:
    """A study with a tag in every text that users have a say in."""
    data = {**ENVIRONMENT["dataset"], "names": {"0": HOSTILE}, "yaml": f"/data/{HOSTILE}"}
    environment = {**ENVIRONMENT, "dataset": data, "notes": [HOSTILE], "machine": HOSTILE}
    endings = {3: Ending(Verdict.FAILED, HOSTILE), 4: Ending(Verdict.PRUNED, HOSTILE)}
    space = {"lr0": "loguniform(1e-4, 1e-1)", "optimizer": f"choice(['{HOSTILE}', 'SGD'])"}
    name = HOSTILE.replace("/", "")
    study = write_study(folder, trials=14, environment=environment, endings=endings, name=name, space=space)
    (study / "trials" / "0003" / "error.txt").write_text(HOSTILE)
    return study


def test_hostile_texts_are_shown_and_do_nothing(tmp_path: Path) -> None:
    text = write_report(hostile_study(tmp_path / "s"), photos=False).read_text(encoding="utf-8")
    parsed = Tags()
    parsed.feed(text)
    assert "img" not in parsed.tags
    assert parsed.tags.count("script") == 4
    assert "".join(parsed.words).count(HOSTILE) >= 6
    embedded = re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)
    assert embedded and "<" not in embedded[1]
    hover = json.dumps(json.loads(embedded[1]))  # plotly reads tags, so that its texts carry entities
    assert "&lt;img" in hover and "<img" not in hover


def test_embedded_json_cannot_end_its_element() -> None:
    assert page.embedded({"a": HOSTILE}) == '{"a":"\\u003c/script\\u003e\\u003cimg src=x onerror=alert(1)\\u003e"}'


def test_keys_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "k" * 40
    monkeypatch.setenv("WANDB_API_KEY", key)
    endings = {1: Ending(Verdict.FAILED, f"401 for {key}")}
    assert key not in text_of(write_study(tmp_path / "s", trials=2, endings=endings))


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_the_page_without_ray_or_torch(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=12)
    code = (
        "import sys, yolotune.cli.commands as cli; code = cli._exit_code(cli.app, sys.argv[1:]);"
        "print(code, *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(study), "--no-photos"], capture_output=True, text=True, check=True
    )
    first, last = done.stdout.splitlines()
    assert first == f"Report:  {study / 'report.html'}" and (study / "report.html").exists()
    assert last.startswith("0 ") and not {"ray", "torch", "ultralytics", "wandb"} & set(last.split())


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "yolotune", "report", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "Fix:" in done.stderr and "Traceback" not in done.stderr


def test_weights_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=2)
    assert "best.pt is not there" in write_report(study).read_text(encoding="utf-8")


def test_a_report_that_fails_costs_no_study(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=2)
    (study / "trials" / "0001" / "verdict.yaml").write_text("schema: 1\nverdict: gone\n")
    notes: list[str] = []
    told = Listener()
    told.note = notes.append  # type: ignore[method-assign]
    engine._report(study, told, photos=False)
    assert len(notes) == 1 and "not written" in notes[0] and "damaged" in notes[0]
    assert not (study / "report.html").exists()
