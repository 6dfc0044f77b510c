"""The direction of the house: a room imports only from rooms below it, and heavy parts only where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import yolotune

#: From the top of the house to its ground. Rooms that share a line do not import each other.
HOUSE = (
    "__main__",
    "cli",
    "live",
    "dashboard",
    "progress demo template",
    "flags",
    "confirmation retraining",
    "modelcard",
    "continuation",
    "engine",
    "report.page",
    "report.tables",
    "report.story",
    "report.answers report.course report.ladder report.photos",
    "report.charts report.influence report.predict",
    "report.facts",
    "report",
    "check",
    "environment",
    "callbacks",
    "pausing",
    "search",
    "samplers schedule",
    "trial",
    "training",
    "studyrun",
    "tracking",
    "session",
    "trainer",
    "exact validator",
    "resources",
    "plan",
    "cluster outcome",
    "status",
    "weights dataset checkpoint lock stop restarts mirror warmstart retention halving",
    "prior",
    "datayaml",
    "labels",
    "job",
    "recorder",
    "record",
    "preflight",
    "study",
    "points earlystop effort forecast layers",
    "budget",
    "rungs arguments distributions",
    "space signals",
    "metrics paired",
    "sessions",
    "yamlio",
    "shapes",
    "errors",
)
LEVEL = {room: level for level, rooms in enumerate(reversed(HOUSE)) for room in rooms.split()}

#: Rooms whose functions may load torch and Ultralytics.
TORCH_INSIDE = {
    "dataset",
    "labels",
    "arguments",
    "check",
    "weights",
    "environment",
    "training",
    "resources",
    "report.predict",
}

#: Where a heavy part may be imported: at the top of a room, and inside its functions.
HEAVY: dict[str, tuple[set[str], set[str]]] = {
    "ray": ({"callbacks", "pausing", "search", "schedule", "trial"}, {"engine", "cluster"}),
    "ultralytics": ({"trainer", "exact", "validator"}, TORCH_INSIDE),
    "torch": ({"trainer", "exact", "validator"}, TORCH_INSIDE),
    "optuna": ({"search", "samplers", "mirror", "distributions"}, {"report.influence"}),
    "plotly": (set(), {"report.page"}),
    "jinja2": (set(), {"report.page"}),
    "typer": ({"cli", "flags"}, set()),
    "rich": ({"progress", "live"}, set()),
    "pydantic": ({"study", "earlystop"}, set()),
    "pandas": (set(), {"record"}),
    "optuna_dashboard": (set(), {"dashboard"}),
    "wandb": (set(), {"tracking", "session", "studyrun"}),
}

HOME = Path(yolotune.__file__).parent
#: By their dotted names; a package's `__init__` is a room of the package's name.
ROOMS = {
    ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__"): path
    for path in HOME.rglob("*.py")
    if path != HOME / "__init__.py"
}


def imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Yields every imported module with whether a function imports it; what only type checkers read is left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            for alias in child.names:
                name = f"{child.module}.{alias.name}"  # a room of a package, or something in a room
                yield name if name.removeprefix("yolotune.") in LEVEL else str(child.module), inside
        elif not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from imports(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def found(room: str) -> list[tuple[str, bool]]:
    return list(imports(ast.parse(ROOMS[room].read_text(encoding="utf-8"))))


def test_every_room_has_its_place_in_the_house() -> None:
    assert ROOMS.keys() <= LEVEL.keys()


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_from_rooms_below_it(room: str) -> None:
    for module, _ in found(room):
        package, _, below = module.partition(".")
        if package == "yolotune" and below:
            assert LEVEL[below] < LEVEL[room], f"{room} imports {below}"
        elif package == "yolotune":
            assert room in ("cli", "demo"), f"{room} imports the package, which may import anything"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_heavy_parts_are_imported_only_where_they_belong(room: str) -> None:
    for module, inside in found(room):
        at_top, in_functions = HEAVY.get(module.partition(".")[0], (None, None))
        if at_top is not None and in_functions is not None:
            allowed = at_top | in_functions if inside else at_top
            assert room in allowed, f"{room} imports {module} {'in a function' if inside else 'at its top'}"


def test_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, yolotune.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ray", "torch", "ultralytics", "optuna", "wandb", "pydantic", "pandas"} & set(said)
