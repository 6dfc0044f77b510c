"""YAML as people mean it: the core schema of YAML 1.2, strictly read, atomically written.

PyYAML follows YAML 1.1, where `1e-3` is a string, `no` is False, `1:30` is 90, `010` is 8 and the second of
two equal keys silently wins. Here `1e-3` is a float, only `true` and `false` are booleans, and equal keys are
refused. So are tags and aliases: a settings file needs neither, and both can make a small file do much.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from yolotune.errors import UserError, fail

#: Bytes; the pure Python parser needs about 3 s for as many.
MAX_SIZE = 1_000_000

#: Last line of what `write_yaml` writes: half a YAML file can be a valid one that says something else.
END = "# end\n"

#: The implicit types of YAML 1.2's core schema, with the characters that such a value may start with.
_RESOLVERS: tuple[tuple[str, str, list[str]], ...] = (
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
)


def _refused(problem: str, mark: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


class _Loader(yaml.SafeLoader):
    """Refuses what a settings file never needs; the marks carry the line."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refused(f"the alias *{event.anchor} is not allowed: write the value out", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _refused(f"the tag {event.tag} is not allowed: write the plain value", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # refused, with its line, by the base class
            if key in first:
                mark = key_node.start_mark
                raise _refused(f"the key {key!r} stands twice, first in line {first[key]}", mark)
            first[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: Any) -> int:
        text = self.construct_scalar(node)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text if base == 10 else text[2:], base)


class _Dumper(yaml.SafeDumper):
    """Quotes every string that YAML 1.1 or YAML 1.2 would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True  # our reader refuses aliases, so a list that occurs twice is written twice


_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1's
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
for _name, _pattern, _first in _RESOLVERS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), _first)


def read_yaml(path: Path, where: str | None = None, *, whole: bool = False) -> Any:
    """Returns what a YAML file says; None for an empty one.

    Args:
        path: The file, UTF-8, at most `MAX_SIZE` bytes.
        where: How messages call the file; its path unless given.
        whole: Whether it was written by `write_yaml`, so that a cut-off end shows.

    Raises:
        UserError: There is no such file, or it cannot be read, or `parse_yaml` refuses it.
    """
    where = where or str(path)
    if path.is_dir():
        raise fail(where, "is a folder, expected a YAML file.", "name the file inside it.")
    if not path.exists():
        raise fail(where, "there is no such file.", "check the path; relative paths start at the working directory.")
    if not path.is_file():
        raise fail(where, "is not a regular file.", "name a YAML file.")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise fail(where, f"cannot be read: {error.strerror}.", "check the file's permissions.") from error
    if len(content) > MAX_SIZE:
        raise fail(where, f"is larger than {MAX_SIZE:,} bytes.", "name a settings file, not a data file.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise fail(f"{where}:{line}", "is not UTF-8 text.", "save the file as UTF-8.") from error
    if whole and not text.endswith(END):
        raise fail(where, f"damaged: the last line, {END.strip()!r}, is missing.", "restore the file from a copy.")
    return parse_yaml(text, where)


def parse_yaml(text: str, where: str) -> Any:
    """Returns what a YAML text says.

    Args:
        text: One YAML document.
        where: How messages call the text; the line is added.

    Raises:
        UserError: The text is not YAML, nests too deep, or has equal keys, tags, aliases or odd characters.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"the character {chr(error.character)!r} is not allowed in YAML."
        raise fail(f"{where}:{line}", what, "remove it.") from error
    except yaml.MarkedYAMLError as error:
        raise _marked(error, where) from error
    except (RecursionError, ValueError) as error:  # ValueError: an integer of thousands of digits
        what = "nests too deep." if isinstance(error, RecursionError) else f"{error}."
        raise fail(where, what, "write a plain settings file.") from error
    finally:
        if loader is not None:
            loader.dispose()


def _marked(error: yaml.MarkedYAMLError, where: str) -> UserError:
    mark = error.problem_mark or error.context_mark
    place = f"{where}:{mark.line + 1}" if mark else where
    context = f" {error.context}" if error.context else ""
    return fail(place, f"{error.problem}{context}.", "correct this line.")


def write_yaml(path: Path, data: Any, header: str = "") -> None:
    """Writes a YAML file that our reader and plain PyYAML read alike, or leaves the old one.

    Args:
        path: The file; its folder exists.
        data: Plain maps, lists, strings, numbers, booleans and None. The order of keys is kept.
        header: A comment for the top of the file, without `#`.

    The last line is a comment too, by which `read_yaml(whole=True)` knows that nothing is missing.
    """
    comment = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    write_atomic(path, (comment + dump_yaml(data) + END).encode())


def dump_yaml(data: Any) -> str:
    """Returns plain data as YAML that our reader and plain PyYAML read alike."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf")))


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a crash, sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
