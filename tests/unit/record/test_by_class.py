"""F1 by class is read where it is, and its lack harms nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from records import write_study
from yolotune._yaml import write_yaml
from yolotune.record.by_class import f1_by_class
from yolotune.record.study import read_study


def test_f1_by_class_is_read_from_the_word_of_the_trial(tmp_path: Path) -> None:
    trial = read_study(write_study(tmp_path / "s", trials=1)).trials[0]
    assert f1_by_class(trial) == {}, "no such file"
    write_yaml(trial.folder / "ended.yaml", {"schema": 1, "verdict": "completed", "f1_by_class": {"a": 0.5, "b": 0}})
    assert f1_by_class(trial) == {"a": 0.5, "b": 0.0}


@pytest.mark.parametrize(
    "said", ["best: {}\n# end\n", "f1_by_class: [1]\n# end\n", "f1_by_class: {a: ", "- 1\n# end\n"]
)
def test_an_older_or_damaged_file_says_nothing(tmp_path: Path, said: str) -> None:
    trial = read_study(write_study(tmp_path / "s", trials=1)).trials[0]
    (trial.folder / "ended.yaml").write_text(said)
    assert f1_by_class(trial) == {}
