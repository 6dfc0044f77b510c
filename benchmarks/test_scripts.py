"""Every script can still be imported, so that none is found broken on the day its figure is asked for."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = sorted(file for room in ("search", "cost") for file in (HERE / room).glob("[a-z]*.py"))
SCRIPTS.append(HERE / "report_picture.py")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: f"{script.parent.name}.{script.stem}")
def test_it_is_imported(script: Path) -> None:
    importlib.import_module(".".join(script.relative_to(HERE.parent).with_suffix("").parts))
