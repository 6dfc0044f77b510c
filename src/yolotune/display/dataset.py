"""What is printed of a dataset: what it is, and what was found in it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from yolotune.data.doctor import Examination
from yolotune.data.findings import Finding, Level
from yolotune.data.summary import SMALL, Summary
from yolotune.display.formats import short
from yolotune.report.formatting import plural

if TYPE_CHECKING:
    from yolotune.tuner.check import Diagnosis

STYLES = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: "cyan"}
#: Classes that are told one by one unless all are asked for.
MOST_CLASSES = 5
#: Columns in front of what is said.
INDENT = 8


def print_diagnosis(found: Diagnosis, folder: Path, *, every: bool) -> None:
    """Prints the outcome of `yolotune check`, but for what is wrong beside the dataset.

    Args:
        found: The outcome.
        folder: Where the study would be kept.
        every: Whether all classes and all places are told.
    """
    from yolotune.display.tables import study_lines

    console = Console(highlight=False, soft_wrap=True)
    if found.examined.summary is not None:
        _print_summary(console, found.examined.summary, every=every)
    for line in finding_lines(found.examined, every=every):
        console.print(line)
    if found.plan is not None:
        for line in study_lines(found.plan):
            console.print(line)
        console.print(f"[green]Ready.[/] The study would be kept in {escape(str(short(folder)))}.")


def diagnosis_document(found: Diagnosis) -> dict[str, Any]:
    """Returns what `yolotune check --json` prints."""
    problems = [{"where": one.where, "what": one.what, "fix": one.fix} for one in found.problems]
    return {**found.examined.document(), "problems": problems, "ready": found.plan is not None}


def warning_lines(examined: Examination, yaml: Path) -> list[str]:
    """Returns the warnings in words, with rich's markup, and how to read more of them; nothing without warnings.

    Args:
        examined: The dataset.
        yaml: Path of its `data.yaml`.
    """
    lines = [
        f"[yellow]Warning[/] {escape(f'{found.where}: {found.what}')}"
        for found in examined.findings
        if found.level is Level.WARNING
    ]
    if not lines:
        return []
    more = f"{'':{INDENT}}What to do: yolotune check --data {shlex.quote(str(short(yaml)))}"
    return [*lines, escape(more)]


def finding_lines(examined: Examination, *, every: bool) -> Iterator[str]:
    """Yields in words, with rich's markup, what was found in a dataset.

    Args:
        examined: The dataset.
        every: Whether all places are told.
    """
    for found in examined.findings:
        name = str(found.level).capitalize()
        yield f"[{STYLES[found.level]}]{name:<{INDENT}}[/]{escape(f'{_near(found.where)}: {found.what}')}"
        if found.fix:
            yield f"{'':{INDENT}}{escape(f'Fix: {found.fix}')}"
        if every and found.count > 1:
            yield from (f"{'':{INDENT}}- {escape(_near(example))}" for example in found.examples)
    counts = [sum(found.level is level for found in examined.findings) for level in Level]
    told = ", ".join(plural(count, str(level)) for level, count in zip(Level, counts, strict=True) if count)
    yield f"Found   {told or 'nothing to mend'}{_rest(examined.findings, every)}"


def _near(text: str) -> str:
    """Returns a text that begins with a path relative to the current folder if it lies below it."""
    return text.removeprefix(f"{Path.cwd()}{os.sep}")


def _rest(findings: tuple[Finding, ...], every: bool) -> str:
    left_out = any(found.count > 1 and found.examples for found in findings)
    return "; every place: yolotune check --all" if left_out and not every else ""


def _print_summary(console: Console, summary: Summary, *, every: bool) -> None:
    """Prints a dataset in numbers, in no more than a dozen lines unless all classes are told."""
    classes = "1 class" if len(summary.names) == 1 else f"{len(summary.names)} classes"
    console.print(escape(f"Data    {_near(summary.yaml)}: {classes}"))
    for line in _table(summary):
        console.print(escape(f"{'':{INDENT}}{line}"))
    console.print(escape(f"Classes {_classes(summary)}"))
    if every and len(summary.names) > MOST_CLASSES:
        for index, name in summary.names.items():
            counts = ", ".join(f"{part.by_class.get(index, 0):,} {split}" for split, part in summary.splits.items())
            console.print(escape(f"{'':{INDENT}}- {index} {name}: {counts}"))
    if any(summary.largest):
        console.print(escape(f"Images  {_images(summary)}"))


def _table(summary: Summary) -> Iterator[str]:
    """Yields a head and a row for each split; the size of objects is the 5th percentile, the median and the 95th."""
    sizes = f"object size at {summary.imgsz} px"
    small = f"under {SMALL} px"
    rows: list[tuple[str, ...]] = [("split", "images", "no label", "empty label", "objects", sizes, small)]
    for split, part in summary.splits.items():
        counts = (f"{count:,}" for count in (part.images, part.unlabelled, part.empty, part.objects))
        size = "" if part.sizes is None else f"{part.sizes[0]:.0f} to {part.sizes[2]:.0f}, median {part.sizes[1]:.0f}"
        rows.append((split, *counts, size, f"{part.small:.1%}" if part.objects else ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *cells in rows:
        shown = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
        yield "  ".join([f"{first:<{widths[0]}}", *shown]).rstrip()


def _classes(summary: Summary) -> str:
    """Returns the objects of each class by split, or of many classes those with the most and the fewest."""
    counts = {index: [part.by_class.get(index, 0) for part in summary.splits.values()] for index in summary.names}

    def told(index: int) -> str:
        return f"{summary.names[index]} {' + '.join(f'{count:,}' for count in counts[index])}"

    splits = " + ".join(summary.splits)
    if len(counts) <= MOST_CLASSES:
        return f"{', '.join(map(told, counts))} ({splits})"
    ranked = sorted(counts, key=lambda index: -sum(counts[index]))
    return f"most: {', '.join(map(told, ranked[:2]))}; fewest: {', '.join(map(told, ranked[-2:]))} ({splits})"


def _images(summary: Summary) -> str:
    smallest, largest, commonest = (f"{w} x {h}" for w, h in (summary.smallest, summary.largest, summary.commonest))
    if summary.smallest == summary.largest:
        return f"all {smallest} px"
    share = f"{summary.commonest_share:.0%} of them {commonest}"
    return f"{smallest} to {largest} px, {share}; longest side up to {summary.aspect:.1f} times the shortest"
