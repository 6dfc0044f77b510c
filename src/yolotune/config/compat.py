"""study.yaml of earlier versions, read as one of now.

Schema 1 (until 2026-11) kept the direction of the objective beside it, the numbers of both schedulers in one block
`asha`, and settings that are no more: `history`, `time_budget`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yolotune.config.scheduling import scheduler_fields
from yolotune.errors import fail

SCHEMA = 2
#: What a study.yaml holds beside the settings.
RECORD_KEYS = frozenset({"schema", "uid", "warm_points", "warm_from", "origin"})
_GONE = frozenset({"metric", "direction", "history", "time_budget"})


def upgraded(recorded: Any, where: str) -> dict[str, Any]:
    """Returns the content of a study.yaml in the schema of now.

    Args:
        recorded: As read.
        where: The file, for messages.

    Raises:
        UserError: It is not a study.yaml, or one of a later version.
    """
    if not isinstance(recorded, Mapping) or "objective" not in recorded:
        raise fail(where, "does not hold the settings of a study.", "give the folder that `yolotune run` printed.")
    schema = recorded.get("schema", 1)
    if not isinstance(schema, int) or schema > SCHEMA:
        what = f"has schema {schema!r}, and this version of yolotune reads up to {SCHEMA}."
        raise fail(where, what, "update yolotune: pip install -U yolotune.")
    return dict(recorded) if schema == SCHEMA else _from_schema_1(recorded)


def _from_schema_1(recorded: Mapping[str, Any]) -> dict[str, Any]:
    left = {key: value for key, value in recorded.items() if key not in _GONE | {"asha", "scheduler"}}
    name = recorded.get("scheduler", "asha") if recorded.get("asha") else "none"
    numbers = recorded.get("asha") or {}
    scheduler = {key: value for key, value in numbers.items() if key in scheduler_fields(name)}
    warm = recorded.get("warm_start")
    return {
        "effort": None,
        **left,
        "schema": SCHEMA,
        "scheduler": {"name": name, **scheduler},
        "concurrent": recorded.get("concurrent", 1),
        "warm_start": warm if isinstance(warm, list) else [warm] if warm else [],
    }
