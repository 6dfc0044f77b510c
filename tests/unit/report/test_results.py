"""What a study has found: a gain is compared with the noise, and nothing is claimed where little is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from records import ENVIRONMENT, write_study
from yolotune._yaml import write_yaml
from yolotune.record.study import read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.report import section_texts, sentences
from yolotune.report.importance import importance
from yolotune.report.next_steps import next_steps
from yolotune.report.results import Gain, Results, results_of
from yolotune.report.tables import trial_table
from yolotune.report.trials import SHOWN, drawn_trials, overfitting_gaps

FULL = Ending(Verdict.COMPLETED, "all 30 epochs")


def results_in(folder: Path) -> Results:
    return results_of(read_study(folder), json.loads((folder / "environment.json").read_text()))


def words_of(results: Results) -> str:
    return " ".join([*sentences.conclusion(results), *sentences.certainty(results)])


def flat(level: float, jitter: float = 0.001, epochs: int = 30) -> list[float]:
    """Returns a curve that moves by `jitter` and is best at its end."""
    return [level - jitter * (epoch % 2) for epoch in range(epochs - 1)] + [level]


# --- gain and noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("best", "jitter", "kind"),
    [(0.505, 0.001, Gain.NOISE), (0.525, 0.001, Gain.LIKELY), (0.60, 0.001, Gain.CLEAR), (0.55, 0.06, Gain.NOISE)],
)
def test_a_gain_is_compared_with_the_noise(tmp_path: Path, best: float, jitter: float, kind: Gain) -> None:
    values = {0: flat(0.5, jitter), 1: flat(best, jitter)}
    results = results_in(write_study(tmp_path / "s", trials=2, values=values, scheduler="none"))
    assert results.noise.sampling == pytest.approx((best * (1 - best) / 1200) ** 0.5)
    assert results.noise.jitter == pytest.approx(jitter)
    assert results.gain == pytest.approx(best - 0.5)
    assert results.kind is kind
    said = " ".join(sentences.certainty(results))
    assert ("may be noise" in said) == (kind is Gain.NOISE)
    assert ("looks better" in sentences.headline(results)) == (kind is Gain.CLEAR)
    assert "is better" not in sentences.headline(results), "it rests on one seed"
    assert "unequal epochs" not in words_of(results)


@pytest.mark.parametrize(
    ("trial", "difference", "said"),
    [
        (1, 0.1, "Trial 1 is better than Ultralytics’ defaults, on fresh seeds too."),
        (1, 0.01, "On fresh seeds trial 1 is not clearly better than Ultralytics’ defaults."),
        (0, None, "On fresh seeds no point has beaten Ultralytics’ defaults."),
        (9, 0.1, "The best point looks better than Ultralytics’ defaults."),
    ],
)
def test_a_point_is_better_once_fresh_seeds_have_shown_it(
    tmp_path: Path, trial: int, difference: float | None, said: str
) -> None:
    study = write_study(tmp_path / "s", trials=2, values={0: flat(0.5), 1: flat(0.6)}, scheduler="none")
    best = {"trial": trial, "mean": 0.58, "seeds": [1, 2, 3], "search_best": 0.6}
    point = {"trial": trial, "difference": difference, "uncertainty": None if difference is None else 0.02}
    document = {"schema": 1, "verdict": "Concluded so.", "points": [point], "best": best}
    (study / "confirm").mkdir()
    write_yaml(study / "confirm" / "confirmed.yaml", document)
    results = results_in(study)
    assert sentences.headline(results) == said
    if trial < 2:
        assert "Concluded so." in words_of(results)
    tiles = [(big, remark) for big, what, remark in sentences.tiles(results) if "fresh seeds" in what]
    assert tiles == ([(f"+{difference:.3f}", "±0.020, 3 seeds")] if trial == 1 else [])


def test_a_comparison_at_unequal_epochs_says_so(tmp_path: Path) -> None:
    endings = {0: FULL, 1: Ending(Verdict.PLATEAUED, "flat")}
    values = {0: flat(0.5), 1: flat(0.6, epochs=12)}
    results = results_in(write_study(tmp_path / "s", trials=2, values=values, endings=endings))
    said = "at unequal epochs: trial 1 (plateaued) trained 12 epochs, trial 0 (completed) 30."
    assert said in words_of(results)


def test_few_validation_objects_make_a_gain_doubtful(tmp_path: Path) -> None:
    small = {**ENVIRONMENT, "dataset": {**ENVIRONMENT["dataset"], "instances": {"train": 90, "val": 25}}}
    values = {0: flat(0.5), 1: flat(0.56)}
    results = results_in(write_study(tmp_path / "s", trials=2, values=values, scheduler="none", environment=small))
    assert results.kind is Gain.NOISE
    assert "25 labelled objects" in words_of(results)


def test_trial_0_as_the_best_is_said_plainly(tmp_path: Path) -> None:
    values = {0: flat(0.7), 1: flat(0.5)}
    results = results_in(write_study(tmp_path / "s", trials=2, values=values, scheduler="none"))
    assert results.kind is Gain.NONE
    assert "which no point of the search has beaten" in words_of(results)
    assert "has not beaten" in sentences.HEADLINES[results.kind]


def test_nothing_is_compared_with_defaults_that_were_cut_short(tmp_path: Path) -> None:
    endings = {0: Ending(Verdict.PRUNED, "rung"), 1: FULL}
    values = {0: flat(0.1, epochs=5), 1: flat(0.6)}
    results = results_in(write_study(tmp_path / "s", trials=2, values=values, endings=endings))
    assert results.kind is Gain.UNKNOWN
    assert "the gain over them is unknown" in words_of(results)
    assert all("over the defaults" not in what for _, what, _ in sentences.tiles(results))


def test_less_is_better_where_the_objective_is_a_loss(tmp_path: Path) -> None:
    values = {0: flat(1.5, -0.001), 1: flat(1.2, -0.001), 2: flat(1.8, -0.001)}
    results = results_in(
        write_study(tmp_path / "s", trials=3, values=values, objective="val/seg_loss", scheduler="none")
    )
    assert results.best is not None and results.best.number == 1
    assert results.gain == pytest.approx(0.3) and results.kind is Gain.CLEAR
    assert results.noise.sampling is None, "a loss is no share of the objects"
    assert ("−0.300", "over the defaults") in [(big, what) for big, what, _ in sentences.tiles(results)]
    assert "less is better" in words_of(results)


def test_epochs_and_time_are_added_up(tmp_path: Path) -> None:
    values = {0: flat(0.5), 1: flat(0.1, epochs=10)}
    results = results_in(
        write_study(tmp_path / "s", trials=2, values=values, endings={1: Ending(Verdict.PRUNED, "rung")})
    )
    assert (results.full_epochs, results.record.epochs_trained, results.seconds) == (60, 40, 100.0)
    assert results.saved == pytest.approx(1 / 3)
    assert "2 trials (1 completed and 1 pruned) trained 40 epochs in 2 min" in words_of(results)


def test_a_running_and_an_interrupted_study_say_how_to_continue(tmp_path: Path) -> None:
    running = write_study(tmp_path / "a", trials=2, endings={1: None})
    stopped = write_study(tmp_path / "b", trials=2, endings={1: Ending(Verdict.INTERRUPTED, "the study was stopped")})
    for study, words in ((running, "Trial 1 is without a verdict"), (stopped, "Trial 1 is interrupted")):
        results = results_in(study)
        assert words in words_of(results)
        assert next_steps(results)[0].command == f"yolotune resume {study}"


def test_next_steps_quote_what_a_shell_would_split(tmp_path: Path) -> None:
    study = write_study(tmp_path / "my study; rm -rf", trials=2, values={0: flat(0.5), 1: flat(0.8)})
    steps = next_steps(results_in(study))
    assert steps and all(f"'{study}" in step.command for step in steps)


# --- importance, gaps, samples -----------------------------------------------------------------------------------


def test_importance_finds_what_decides_and_not_what_does_not(tmp_path: Path) -> None:
    found = importance(read_study(write_study(tmp_path / "s", trials=40, epochs=3, scheduler="none")))
    assert found is not None and found.trials == 40
    assert found.strong == ["lr0"] and sum(found.shares.values()) == pytest.approx(1)


def test_importance_needs_ten_trials(tmp_path: Path) -> None:
    results = results_in(write_study(tmp_path / "s", trials=9, epochs=3, scheduler="none"))
    assert results.importance is None and "importance means nothing yet" in section_texts.about_importance(results)


def test_points_of_an_older_space_are_left_out_of_the_importance(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=15, epochs=3, scheduler="none")
    (study / "trials" / "0003" / "point.yaml").write_text("schema: 1\nlr0: 0.5\n# end\n")
    found = importance(read_study(study))
    assert found is not None and found.trials == 14


def test_gaps_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=1, values={0: [0.1, 0.9, 0.5]}, epochs=3)
    assert overfitting_gaps(read_study(study)) == {0: pytest.approx(0.02)}


def test_a_trial_that_learned_nothing_does_not_count_as_good(tmp_path: Path) -> None:
    values = {0: [0.5] * 3, 1: [0.0] * 3}
    study = write_study(tmp_path / "s", trials=2, values=values, epochs=3, scheduler="none")
    file = study / "trials" / "0001" / "epochs.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({**row, "train_seg_metrics/F1": 0.001}) + "\n" for row in rows))
    results = results_in(study)
    assert results.gaps.keys() == {0} and results.unlearned == [1]
    said = section_texts.about_overfitting(results)
    assert "1 good, 0 warning and 0 severe" in said and "Trial 1 learned nothing" in said
    _, table = trial_table(results)
    assert "learned nothing" in table[1].cells and "learned nothing" not in table[0].cells


def test_large_studies_show_the_best_trial_0_and_a_sample(tmp_path: Path) -> None:
    first = read_study(write_study(tmp_path / "s", trials=1, epochs=1)).trials[0]
    trials = [replace(first, number=number, value=number % 97 / 97) for number in range(SHOWN + 30)]
    study = replace(read_study(tmp_path / "s"), trials=trials)
    shown = drawn_trials(study)
    assert len(shown) == SHOWN and study.trials[0] in shown and study.best in shown
    later = [trial for trial in shown if trial.number > SHOWN]
    assert len(later) > 10, "no part of the study is missing"
    assert f"Drawn are {SHOWN} of 270 trials" in section_texts.left_out(study)
