"""What README and docs show exists: links, commands, flags, settings, targets of make, tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from yolotune.cli import app
from yolotune.config.scheduling import PlateauSettings, scheduler_fields, scheduler_names

ROOT = Path(__file__).parents[2]
#: What shows the product as it is now. The changelog also names what is gone, so only its links are checked.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "RESULTS.md"]

SCRIPT = "python tune_yolo11_seg.py"  # the guide's; the same as `yolotune run`
#: Beginnings of command lines of other programs, whose flags are theirs.
FOREIGN = ("ray ", "pip ", ".venv/bin/pip ", "python -m ", "wandb ")
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


@cache
def text_of(page: Path) -> str:
    """Returns a page without its comments."""
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@cache
def code_of(page: Path) -> tuple[str, ...]:
    """Returns all code of a page: lines of code blocks, continued ones as one, and spans in the text."""
    lines: list[str] = []
    prose: list[str] = []
    fenced = False
    for line in text_of(page).replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            lines.append(line.strip())
        else:
            prose.append(line)
    return (*lines, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", "\n".join(prose))))


def anchors_of(page: Path) -> set[str]:
    """Returns the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options_of(command: str) -> set[str]:
    return {option for parameter in COMMANDS[command].params for option in parameter.opts} | {"--help"}


def shown_commands(page: Path) -> Iterator[tuple[str, str]]:
    """Yields each command of ours that a page shows, and the rest of its line."""
    for code in code_of(page):
        words = code.partition("#")[0].removeprefix("$ ").split()
        if code.startswith(SCRIPT):
            yield "run", " ".join(words[2:])
        elif len(words) > 1 and words[0] == "yolotune" and words[1].isalpha():
            yield words[1], " ".join(words[2:])


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors_of(path), target


@pages
def test_every_command_that_is_shown_exists(page: Path) -> None:
    for command, rest in shown_commands(page):
        assert command in COMMANDS, f"yolotune {command}"
        unknown = {flag.replace("_", "-") for flag in FLAG.findall(rest)} - options_of(command)
        assert not unknown, f"yolotune {command} {rest}"


@pages
def test_every_flag_that_is_shown_exists(page: Path) -> None:
    known = {option for command in COMMANDS for option in options_of(command)}
    for code in code_of(page):
        if not code.startswith(FOREIGN):
            assert {flag.replace("_", "-") for flag in FLAG.findall(code)} <= known, code


@pages
def test_every_setting_of_a_scheduler_that_is_shown_exists(page: Path) -> None:
    numbers = set[str]().union(*(scheduler_fields(name) for name in scheduler_names()))
    known = {"scheduler": {"name", *numbers}, "plateau": set(PlateauSettings.model_fields), "asha": set[str]()}
    for code in code_of(page):
        for block, field in re.findall(r"(?<![\w./])(scheduler|plateau|asha)\.([a-z_]+)", code):
            assert field in known[block], code


@pages
def test_every_file_of_the_code_that_is_named_exists(page: Path) -> None:
    if page.name == "extending.md":  # its examples are files that a reader would write
        return
    places = [ROOT, ROOT / "src" / "yolotune", ROOT / "tests" / "integration"]
    for code in code_of(page):
        for name in re.findall(r"(?<![\w./])(?:\w+/)+\w+\.py\b", code):
            assert any((place / name).is_file() for place in places), name


@pages
def test_every_test_and_every_target_of_make_that_is_named_exists(page: Path) -> None:
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "tests").rglob("*.py")}
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for code in code_of(page):
        for name in re.findall(r"(?:[\w/]+/)?test_\w+\.py", code):
            assert any(f"/{file}".endswith(f"/{name}") for file in files), name
        for function in re.findall(r"(?<!\.)\btest_\w+\b(?!\.py|/)", code):
            assert any(f"def {function}(" in path.read_text(encoding="utf-8") for path in files.values()), function
        for target in re.findall(r"^make ([\w-]+)", code):
            assert target in targets, code


def test_every_command_and_every_number_of_a_scheduler_is_documented() -> None:
    guide = code_of(ROOT / "docs" / "guide.md")
    for command in COMMANDS:
        assert any(code.split()[:2] == ["yolotune", command] for code in guide), command
    settings = code_of(ROOT / "docs" / "study-file.md")
    for field in {field for name in scheduler_names() for field in scheduler_fields(name)}:
        assert f"scheduler.{field}" in settings, field
    for field in PlateauSettings.model_fields:
        assert any(f"plateau.{field}" in code for code in settings), field


@pages
def test_python_that_is_shown_is_python(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", text_of(page), flags=re.DOTALL | re.MULTILINE):
        compile(block, name_of(page), "exec")


def test_the_notebook_was_run_to_its_end_and_names_no_machine() -> None:
    text = (ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8")
    code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}, "no error"
    said = "".join(line for output in outputs for line in output.get("text", ()))
    for line in ("Data    /home/you/", "Search  8 trials", "best so far", "Report:  runs/tune/study/report.html"):
        assert line in said
    assert any("image/png" in output.get("data", {}) for output in outputs), "a chart is drawn"
    assert "/tmp/" not in text and "/work/" not in text
