"""A study.yaml that version 0.1.0 wrote, read as one of now."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolotune.config.compat import SCHEMA
from yolotune.config.layers import load_settings
from yolotune.config.scheduling import AshaSettings, HalvingSettings, NoScheduler
from yolotune.errors import UserError
from yolotune.record.study import read_study

WRITTEN = """\
# The study as it runs: preset, file and flags together.
schema: 1
uid: abcdef01
metric: seg_metrics/F1
direction: max
data: /data/data.yaml
model: yolo11n-seg.yaml
project: mine
name: study
exist_ok: false
preset: yolo11-seg
epochs: 30
imgsz: 640
effort: quick
budget: null
num_samples: 20
concurrent: 1
gpus: null
cpus: null
device: null
address: null
storage: null
keep_weights: all
allow_bad_labels: false
objective: metrics/F1(M)
mode: null
wandb: auto
max_failures: 2
search: auto
seed: 0
space:
  lr0: loguniform(1e-4, 1e-1)
  batch: choice([8, 16])
points: []
warm_start: /studies/before
history: true
top: 3
train:
  warmup_bias_lr: 0.0
  close_mosaic: 0.1
scheduler: asha
asha:
  grace_period: 0.1
  reduction_factor: 3.0
  brackets: 1
  rank: signals
  batch: 9
plateau: null
warm_points:
- lr0: 0.01
  batch: 8
warm_from:
- study: before
  folder: /studies/before
  trial: 4
  value: 0.61
  by: warm_start
  same_data: true
# end
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trials" / "0000").mkdir(parents=True)
    (tmp_path / "trials" / "0000" / "point.yaml").write_text("schema: 1\nlr0: 0.01\nbatch: 8\n# end\n")
    (tmp_path / "study.yaml").write_text(WRITTEN, encoding="utf-8")
    return tmp_path


def rewrite(folder: Path, *changes: tuple[str, str]) -> None:
    text = WRITTEN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "study.yaml").write_text(text, encoding="utf-8")


def test_a_study_of_before_is_read_with_all_that_still_means_something(folder: Path) -> None:
    record = read_study(folder)
    settings = record.settings
    assert (record.uid, record.metric, record.mode) == ("abcdef01", "seg_metrics/F1", "max")
    assert (settings.epochs, settings.trials, settings.effort) == (30, 20, "quick")
    assert settings.scheduler == AshaSettings(grace_period=0.1, reduction_factor=3, brackets=1, rank="signals")
    assert settings.warm_start == ["/studies/before"]
    (source,) = record.warm_from
    assert (source.study, source.trial, source.same_data) == ("before", 4, True)
    assert record.known_from(record.trials[0].point) == source


def test_it_continues_with_its_settings_and_with_changed_ones(folder: Path) -> None:
    assert load_settings(folder, {}) == read_study(folder).settings
    changed = load_settings(folder, {"num_samples": 80, "scheduler": {"grace_period": 3}})
    assert changed.trials == 80
    assert changed.scheduler == AshaSettings(grace_period=3, reduction_factor=3, brackets=1, rank="signals")


def test_the_block_asha_was_the_numbers_of_both_schedulers(folder: Path) -> None:
    rewrite(folder, ("scheduler: asha", "scheduler: halving"))
    expected = HalvingSettings(grace_period=0.1, reduction_factor=3, rank="signals", batch=9)
    assert load_settings(folder, {}).scheduler == expected


def test_a_study_without_rungs_has_no_scheduler(folder: Path) -> None:
    block = WRITTEN[WRITTEN.index("asha:\n") : WRITTEN.index("plateau:")]
    rewrite(folder, (block, "asha: null\n"), ("scheduler: asha", "scheduler: none"))
    assert load_settings(folder, {}).scheduler == NoScheduler()


@pytest.mark.parametrize("given", [1, 4, "auto"])
def test_trials_at_a_time_are_what_they_were(folder: Path, given: int | str) -> None:
    rewrite(folder, ("concurrent: 1", f"concurrent: {given}"))
    assert load_settings(folder, {}).concurrent == given


def test_before_there_was_an_effort_a_budget_was_a_time(folder: Path) -> None:
    rewrite(folder, ("effort: quick\nbudget: null\n", "time_budget: 8h\n"))
    settings = load_settings(folder, {})
    assert (settings.effort, settings.budget, settings.trials) == (None, None, 20)


def test_a_study_of_a_later_version_is_refused_with_the_way_out(folder: Path) -> None:
    rewrite(folder, ("schema: 1", f"schema: {SCHEMA + 1}"))
    for read in (read_study, lambda folder: load_settings(folder, {})):
        with pytest.raises(UserError, match=r"study\.yaml: has schema 3.* Fix: update yolotune"):
            read(folder)


@pytest.mark.parametrize("text", ["schema: 1\n# end\n", "- a\n# end\n", "data: d.yaml\n# end\n"])
def test_a_file_that_is_no_record_is_refused(folder: Path, text: str) -> None:
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="does not hold the settings of a study"):
        read_study(folder)
