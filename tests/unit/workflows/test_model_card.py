"""What is said of a final model, on records with numbers of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from yolotune.config.layers import make_settings
from yolotune.metrics import GROUPS, SHORT
from yolotune.record.provenance import Origin
from yolotune.record.split_scores import ModelScores, SplitScores, write_split_scores
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.workflows.model_card import SEEN, _scores, sentence


def trained(*values: float | None) -> StudyRecord:
    """A retrain with a seed per value; epoch 2 is the best of 3."""
    trials = []
    for number, value in enumerate(values):
        rows: list[dict[str, Any]] = [{"epoch": epoch} for epoch in (1, 2, 3)]
        for place, group in enumerate(GROUPS):
            rows[1] |= {f"{group}/{name}": place / 10 + k / 100 for k, name in enumerate(SHORT.values())}
        ending = Ending(Verdict.COMPLETED if value is not None else Verdict.OOM, "")
        epoch = 2 if value is not None else None
        trials.append(TrialRecord(number, Path("t"), {"seed": 5 + number}, rows, ending, epoch, value))
    settings = make_settings(data="d.yaml", preset="none", space={"seed": "randint(0, 9)"})
    return StudyRecord(Path(), "abcdef01", settings, trials)


def test_one_seed_is_told_as_it_is_and_the_best_of_several_with_what_that_means() -> None:
    assert sentence(trained(0.5), on_all=False) == "Seed 5: metrics/F1(M) 0.5000 at epoch 2."
    assert sentence(trained(0.5, 0.7, None), on_all=False) == (
        "Seed 6: metrics/F1(M) 0.7000 at epoch 2. The best of 2 seeds, so it looks a little better than it is: their "
        "mean is 0.6000, their spread 0.1414."
    )
    assert sentence(trained(0.5), on_all=True).endswith(SEEN)


def test_the_scores_are_those_of_the_epoch_in_best_pt() -> None:
    record = trained(0.5, None)
    best = record.best
    assert best is not None
    lines = list(_scores(best, record))
    assert lines[0] == "| best.pt, epoch 2 of 3 | F1 | precision | recall | map50_95 | map50 |"
    assert lines[2:6] == [
        "| masks, val | 0.0000 | 0.0100 | 0.0200 | 0.0300 | 0.0400 |",
        "| boxes, val | 0.1000 | 0.1100 | 0.1200 | 0.1300 | 0.1400 |",
        "| masks, train | 0.2000 | 0.2100 | 0.2200 | 0.2300 | 0.2400 |",
        "| boxes, train | 0.3000 | 0.3100 | 0.3200 | 0.3300 | 0.3400 |",
    ]
    assert lines[-2:] == ["| 5 (this model) | 0.5000 | completed |", "| 6 | - | oom |"]


def test_scores_on_the_test_split_have_rows_of_their_own(tmp_path: Path) -> None:
    record = replace(trained(0.5), folder=tmp_path, origin=Origin("retrain", "study", "abcdef01", "../..", "", ""))
    best = record.best
    assert best is not None
    scores = {f"seg_metrics/{name}": 0.25 for name in SHORT.values()}
    write_split_scores(tmp_path, SplitScores("ab", 12, 100, {0: ModelScores(2, 0.5, scores)}))
    assert "| masks, test | 0.2500 | 0.2500 | 0.2500 | 0.2500 | 0.2500 |" in list(_scores(best, record))
    said = sentence(record, on_all=True)
    assert said.endswith(
        f"{SEEN} On the test split (12 images, 100 objects; it took part in no choice) the model reaches "
        "metrics/F1(M) 0.250 ± 0.043 (one standard error)."
    )
