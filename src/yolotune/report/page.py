"""The page of a study: numbers, sentences, tables, charts and photographs in one file that needs only a browser."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import yolotune.report.charts  # noqa: F401  # registers the built-in charts
from yolotune._yaml import write_atomic
from yolotune.prepared import PreparedProcess
from yolotune.record.study import StudyRecord, read_study
from yolotune.report import section_texts, sentences, tables
from yolotune.report.chart import SECTIONS, Chart, ChartGroup, build_charts
from yolotune.report.dataset import dataset_summary
from yolotune.report.download import data_uri, trials_csv
from yolotune.report.next_steps import next_steps
from yolotune.report.photos import Photos, photographs
from yolotune.report.results import Results, results_of
from yolotune.report.style import DARK, GLYPHS, INK, MARKS

FILE = "report.html"
LEFT_OUT = "They were left out of this report; `yolotune report FOLDER` draws them."


def write_report(
    folder: str | Path,
    *,
    photos: bool = True,
    redact: Callable[[str], str] = str,
    painter: PreparedProcess | None = None,
) -> Path:
    """Writes `report.html` into a study's folder, running or ended, and returns its path.

    Args:
        folder: The study's folder.
        photos: Draw validation photographs with the best weights, a few seconds on a CPU.
        redact: Takes secrets out of the text of the page.
        painter: The process that draws them, where it was started before.

    Raises:
        UserError: The folder holds no study, or a file of it is damaged.

    Example:
        >>> write_report("runs/tune/study", photos=False)  # doctest: +SKIP
        PosixPath('runs/tune/study/report.html')
    """
    folder = Path(folder).resolve()  # the page may be read elsewhere
    results = results_of(read_study(folder), _environment(folder))
    drawn = photographs(results, painter) if photos else Photos([], [], LEFT_OUT)
    path = folder / FILE
    write_atomic(path, render(results, drawn, redact).encode())
    return path


def _environment(folder: Path) -> Mapping[str, Any]:
    """Returns the content of environment.json; empty where it is missing or damaged, which the page says."""
    try:
        read = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


@dataclass(frozen=True)
class ExtraSection:
    """A section of registered charts for which the template has no place of its own."""

    id: str
    heading: str
    charts: list[ChartGroup]


def render(results: Results, photos: Photos, redact: Callable[[str], str] = str) -> str:
    """Returns the page.

    Texts of users are escaped where they are put: by the template, and in the JSON of the figures. Beyond that the
    policy of the page allows no script but those it was written with, and no request at all.

    Args:
        results: Of the study.
        photos: Drawn photographs.
        redact: Takes secrets out of a text.
    """
    from plotly.offline import get_plotlyjs

    nonce = secrets.token_urlsafe(16)
    charts = build_charts(results)
    text = _template().render(
        **page_content(results, charts),
        photos=photos,
        csv=data_uri(redact(trials_csv(results)), "text/csv"),
        nonce=nonce,
        plotly=f"/* plotly.js {nonce} */",
        figures=embedded({chart.name: chart.figure for chart in all_charts(charts)}),
        dark=embedded(DARK),
        colors=[(str(verdict), color, DARK.get(color, INK)) for verdict, (color, _) in MARKS.items()],
        style=_file("style.css"),
        script=_file("page.js"),
        made=time.strftime("%Y-%m-%d %H:%M"),
        version=metadata.version("yolotune"),
    )
    # after secrets were taken out of all that is ours: a library of 5 MB has none
    return redact(text).replace(f"/* plotly.js {nonce} */", get_plotlyjs(), 1)


def page_content(results: Results, charts: Mapping[str, list[ChartGroup]]) -> dict[str, Any]:
    """Returns what the template shows of a study."""
    columns, rows = tables.trial_table(results)
    nothing = results.record.learned_nothing  # then no point is best, and no value is certain
    return {
        "results": results,
        "headline": sentences.headline(results),
        "tiles": sentences.tiles(results),
        "conclusion": sentences.conclusion(results),
        "certainty": [] if nothing else sentences.certainty(results),
        "next_steps": next_steps(results),
        "point": [] if nothing else tables.best_point(results),
        "classes": tables.class_table(results),
        "dataset": dataset_summary(results.record.folder),
        "legend": _legend(results.record),
        "charts": charts,
        "extra_sections": _extra_sections(charts),
        "left_out": section_texts.left_out(results.record),
        "about_rungs": section_texts.about_rungs(results),
        "rung_table": tables.rung_table(results),
        "about_importance": section_texts.about_importance(results),
        "about_overfitting": section_texts.about_overfitting(results),
        "columns": columns,
        "rows": rows,
        "failures": tables.failures(results),
        "environment_rows": tables.environment_rows(results),
        "settings_rows": tables.settings_rows(results.record),
    }


def _legend(record: StudyRecord) -> list[tuple[str, str, int]]:
    """Returns mark, verdict and count of every verdict that occurs."""
    counts = record.verdicts
    return [(glyph, str(verdict), counts[verdict]) for verdict, glyph in GLYPHS.items() if verdict in counts]


def _extra_sections(charts: Mapping[str, list[ChartGroup]]) -> list[ExtraSection]:
    """Returns the sections of charts that were registered under a heading of their own, if they have any chart."""
    headings = [heading for heading, groups in charts.items() if groups and heading not in SECTIONS]
    return [
        ExtraSection(f"section-{place}", heading, charts[heading]) for place, heading in enumerate(headings, start=1)
    ]


def all_charts(charts: Mapping[str, list[ChartGroup]]) -> list[Chart]:
    """Returns the charts of all sections."""
    return [chart for groups in charts.values() for group in groups for chart in group.charts]


def embedded(data: Any) -> Any:
    """Returns JSON that can stand in a script element: nothing in it ends the element or begins a tag."""
    from markupsafe import Markup

    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _template() -> Any:
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return templates.get_template("page.html.j2")


def _file(name: str) -> str:
    """Returns the content of a file in `templates`."""
    return (resources.files("yolotune.report") / "templates" / name).read_text(encoding="utf-8")
