"""A budget in epochs through the real engine, with stand-ins for trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from processes import write_study
from standin import StandIn
from studies import command
from yolotune.record.study import StudyRecord, read_study

SETTINGS: dict[str, Any] = {
    "epochs": 12,
    "concurrent": 2,
    "space": {"lr0": "loguniform(1e-4, 1e-1)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "warmup_bias_lr": 0.0},
    "scheduler": {"name": "asha", "grace_period": 2, "reduction_factor": 2},
    "wandb": "disabled",
}


def whole(record: StudyRecord) -> bool:
    """Whether each trial has each of its epochs once, and no point was trained twice."""
    once = all([row["epoch"] for row in t.epochs] == list(range(1, len(t.epochs) + 1)) for t in record.trials)
    return once and len({tuple(sorted(trial.point.items())) for trial in record.trials}) == len(record.trials)


def test_a_budget_in_epochs_is_planned_kept_and_raised(shared_ray: None, shapes: Path, tmp_path: Path) -> None:
    """Twelve trials take 34 epochs at the least: 12 for the first, and 2 for each that is cut at its first rung."""
    wanted = write_study(tmp_path, shapes, **SETTINGS)
    more = ("--num-samples", "12")
    said = command(tmp_path, "run", wanted, "--budget", "30", *more, by=StandIn)
    lines = said.splitlines()
    plan = next(place for place, line in enumerate(lines) if line.startswith("Plan    effort balanced: about"))
    began = next(place for place, line in enumerate(lines) if line.endswith("starts"))
    assert "of all trials in full" in lines[plan] and plan < began
    assert any(line.startswith("Budget  30 epochs") for line in lines)
    record = read_study(tmp_path / "study")
    assert record.epochs_trained == 30 and whole(record)
    assert "interrupted" in record.verdicts
    assert "The budget is spent." in said and said.splitlines()[-1] == "Resume:  yolotune resume study --budget 60"

    said = command(tmp_path, "resume", "study", by=StandIn)
    assert "So far" in said and "starts" not in said
    assert read_study(tmp_path / "study").epochs_trained == 30, "it is spent already"

    said = command(tmp_path, "resume", "study", "--budget", "60", *more, by=StandIn)
    after = read_study(tmp_path / "study")
    assert 30 < after.epochs_trained <= 60 and whole(after)
    assert after.epochs_trained == 60 or "Resume:" not in said, "all planned trials have ended"
    for before, now in zip(record.trials, after.trials, strict=False):
        assert now.point == before.point and now.epochs[: len(before.epochs)] == before.epochs
    assert 3 < after.seconds_worked < 600
    assert "Planned: " in (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
