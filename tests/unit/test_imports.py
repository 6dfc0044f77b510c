"""The direction of the house: a package imports only from packages above it in the table."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import yolotune

BASE = ("errors", "metrics", "prepared", "_yaml")
#: Each row may import the rows above it, and modules of its own package; the first row is the base.
HOUSE = (
    *BASE,
    "config",
    "data",
    "record",
    "schedulers",
    "search",
    "tracking",
    "training",
    "tuner",
    "report",
    "workflows",
    "display",
    "api",
    "cli",
)
#: Rows that leave out some of those above them.
APART = {
    "record": {"data"},
    "schedulers": {"data"},
    "search": {"data"},
    "tracking": {"data", "schedulers", "search"},
    "training": {"schedulers", "search"},
    "report": {"search", "tracking", "training", "tuner"},
}
#: Where a library may be imported: `package` at the top of its modules, `package()` inside functions alone.
LIBRARIES = {
    "ray": {"tuner"},
    "wandb": {"tracking()"},
    "plotly": {"report()"},
    "jinja2": {"report()"},
    "optuna": {"search", "config", "report()", "api()"},
    "torch": {"training", "tuner()", "report()", "record()"},
    "ultralytics": {"training", "config()", "data()", "report()", "tuner()"},
    "optuna_dashboard": {"workflows()"},
    "typer": {"cli"},
    "rich": {"display"},
    "pydantic": {"config"},
    "pandas": {"record()", "api()"},
}

HOME = Path(yolotune.__file__).parent
MODULES = {".".join(path.relative_to(HOME).with_suffix("").parts): path for path in HOME.rglob("*.py")}
ROOT = {"__init__", "__main__"}


def imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Yields every imported module, and whether only a function or a type checker imports it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from ((f"{child.module}.{alias.name}", inside) for alias in child.names)
        else:
            deeper = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or (
                isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            )
            yield from imports(child, inside or deeper)


def found(module: str) -> list[tuple[str, bool]]:
    return list(imports(ast.parse(MODULES[module].read_text(encoding="utf-8"))))


def package_of(module: str) -> str:
    return module.split(".")[0]


def test_every_module_has_its_place_in_the_house() -> None:
    assert {package_of(module) for module in MODULES} - ROOT == set(HOUSE)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if package_of(name) not in ROOT))
def test_a_module_imports_only_from_packages_above_its_own(module: str) -> None:
    own = package_of(module)
    for name, _ in found(module):
        top, _, inner = name.partition(".")
        other = package_of(inner)
        if top != "yolotune" or other == own:
            continue
        assert other in HOUSE, f"{module} imports {name}, and the root may import everything"
        assert HOUSE.index(other) < HOUSE.index(own), f"{module} imports {name}"
        assert other not in APART.get(own, ()), f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(name for name in MODULES if package_of(name) not in ROOT))
def test_a_library_is_imported_only_where_it_belongs(module: str) -> None:
    own = package_of(module)
    for name, inside in found(module):
        allowed = LIBRARIES.get(package_of(name))
        if allowed is None or own in allowed or (inside and f"{own}()" in allowed):
            continue
        raise AssertionError(f"{module} imports {name}{' in a function' if inside else ''}")


def test_no_package_imports_itself_in_a_circle() -> None:
    arrows = {
        module: {
            other
            for name, inside in found(module)
            for other in (name.removeprefix("yolotune."), name.removeprefix("yolotune.").rpartition(".")[0])
            if other in MODULES and not inside
        }
        for module in MODULES
        if package_of(module) not in ROOT
    }
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in arrows.get(module, ()):
                walk(other, (*path, module))
            done.add(module)

    for module in arrows:
        walk(module, ())


def test_every_imported_distribution_is_declared() -> None:
    declared = tomllib.loads((HOME.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*declared["dependencies"], *declared["optional-dependencies"]["dashboard"]]
    names = {re.split(r"[\[<>=!~ ]", one)[0].lower().replace("_", "-") for one in wanted}
    provided = metadata.packages_distributions()
    for module in MODULES:
        for name, _ in found(module):
            top = package_of(name)
            if top not in sys.stdlib_module_names and top != "yolotune":
                by = {one.lower().replace("_", "-") for one in provided[top]}
                assert by & names, f"{module} imports {top}, and pyproject.toml declares none of {sorted(by)}"


def test_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, yolotune.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ray", "torch", "ultralytics", "optuna", "wandb", "pandas"} & set(said)
