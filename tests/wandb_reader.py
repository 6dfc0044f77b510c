"""Reads what W&B wrote into a run's `.wandb` file, without a server and without trusting the client that wrote it.

The file is a LevelDB log: a 7-byte header `:W&B`, then blocks of 32 KiB with pieces `crc32, length, type` (1 whole,
2 first, 3 middle, 4 last), which make up protobuf records.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK = 32768


@dataclass
class Run:
    """A run as its file tells it."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    axes: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    exit_code: int | None = None

    def rows(self) -> list[dict[str, Any]]:
        """What was logged, without W&B's own columns and without images and tables."""
        rows = [{k: v for k, v in row.items() if k[0] != "_" and not isinstance(v, dict)} for row in self.history]
        return [row for row in rows if row.keys() - {"epoch"}]


def read_run(folder: Path) -> Run:
    """Reads the run in `offline-run-...`; a last record that a crash has torn is left out."""
    run = Run()
    (path,) = folder.glob("*.wandb")
    for record in _records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            said = record.run
            run.id, run.name, run.project = said.run_id, said.display_name, said.project
            run.group, run.job_type, run.tags = said.run_group, said.job_type, tuple(said.tags)
            run.config |= _values(said.config.update)
        elif kind == "config":
            run.config |= _values(record.config.update)
        elif kind == "summary":
            run.summary |= _values(record.summary.update)
        elif kind == "history":
            run.history.append(_values(record.history.item))
        elif kind == "metric":
            run.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "artifact":
            said = record.artifact
            files = {entry.path: Path(entry.local_path) for entry in said.manifest.contents}
            run.artifacts[said.name] = {"type": said.type, "aliases": set(said.aliases), "files": files}
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    run.config.pop("_wandb", None)
    return run


def _values(items: Any) -> dict[str, Any]:
    """Returns the values of a record, NaN as a word; those of images and tables come key by key and make up maps."""
    values: dict[str, Any] = {}
    for item in items:
        *outer, name = item.nested_key or [item.key]
        inner = values
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[name] = json.loads(item.value_json, parse_constant=str)
    return values


def _records(data: bytes) -> Iterator[Any]:
    assert data[:4] == b":W&B"
    position, whole = 7, b""
    while position + 7 <= len(data):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        piece = data[position + 7 : position + 7 + length]
        if kind == 0 or len(piece) < length:
            return
        position += 7 + length
        whole = piece if kind in (1, 2) else whole + piece
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
