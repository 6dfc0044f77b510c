"""Strict YAML: what is read, what is refused with its line, and what is written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from yolotune._yaml import MAX_SIZE, parse_yaml, read_yaml, write_yaml
from yolotune.errors import UserError

TRICKY = [
    "1e-3",
    "1e5",
    ".5",
    "no",
    "Yes",
    "on",
    "true",
    "~",
    "",
    "010",
    "0o10",
    "0x1F",
    "1:30",
    "2024-01-01",
]
TRICKY += [
    "é 漢 😀",
    "a: b",
    "# c",
    " x ",
    "\n",
    "*a",
    "&a",
    "!t",
    "=",
    "<<",
    "\t",
    "- x",
    "'",
    '"',
    "x y " * 60,
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e5", 1e5),
        ("-1.5E+3", -1500.0),
        (".5", 0.5),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("true", True),
        ("no", "no"),
        ("On", "On"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    read = parse_yaml(f"key: {text}\n", "f")["key"]
    assert read == value
    assert type(read) is type(value)


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing\n")
    assert read_yaml(path) is None


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "twice"),
        ("x:\n  1: a\n  1: b\n", 3, "twice"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "tag"),
        ("a: !!float abc\n", 1, "tag"),
        ("a: &x [1]\nb: *x\n", 2, "alias"),
        ("a: 1\nb: \0\n", 2, "character"),
        ("a: 1\nb: [1\n", 3, "expected"),
        ("a: 1\n? [b]\n: c\n", 2, "unhashable"),
        ("a: 1\n---\nb: 1\n", 2, "document"),
        ("a:\n\t- b\n", 2, "cannot start"),
    ],
)
def test_refusals_name_the_line(text: str, line: int, word: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, "study.yaml")
    (problem,) = caught.value.problems
    assert problem.where == f"study.yaml:{line}"
    assert word in problem.what


def test_hostile_tags_run_no_code(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    with pytest.raises(UserError):
        parse_yaml(f"a: !!python/object/apply:os.mkdir ['{sentinel}']\n", "f")
    assert not sentinel.exists()


@pytest.mark.parametrize("text", ["[" * 600, "- " * 600 + "x", "9" * 5000], ids=["flow", "block", "digits"])
def test_texts_that_would_exhaust_the_parser_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_yaml(text, "f")


def test_an_alias_bomb_is_refused() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    with pytest.raises(UserError, match="f:2"):
        parse_yaml(bomb, "f")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_SIZE + 1))
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    for name, where, word in (
        ("none.yaml", "none.yaml", "no such file"),
        (".", "", "folder"),
        ("large.yaml", "large.yaml", "larger"),
        ("latin.yaml", "latin.yaml:2", "UTF-8"),
    ):
        with pytest.raises(UserError) as caught:
            read_yaml(tmp_path / name)
        assert caught.value.problems[0].where == str(tmp_path / where)
        assert word in caught.value.problems[0].what


def test_a_device_is_not_read() -> None:
    with pytest.raises(UserError, match="regular"):
        read_yaml(Path("/dev/zero"))


def test_what_is_written_reads_alike_with_plain_pyyaml(tmp_path: Path) -> None:
    path = tmp_path / "out.yaml"
    shared = [1, 2]
    floats = {"lr0": 1e-05, "big": 1e20, "third": 1 / 3, "inf": math.inf}
    data = {"z": 1, "a": [*TRICKY], "floats": floats, "on": True, "none": None, 3: shared, 4: shared}
    write_yaml(path, data, "first\n\nthird")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# first\n#\n# third\nz: 1\n")
    assert "lr0: 1.0e-05" in text
    assert read_yaml(path) == data
    assert yaml.safe_load(text) == data
    assert list(read_yaml(path)) == list(data)


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.yaml"
    write_yaml(path, {"a": 1})
    with pytest.raises(yaml.YAMLError):
        write_yaml(path, {"a": object()})
    assert read_yaml(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["out.yaml"]
