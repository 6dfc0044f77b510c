"""The page: facts, charts and photographs put into one file that needs nothing but a browser."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from yolotune._yaml import write_atomic
from yolotune.config.settings import Settings, load_settings
from yolotune.record.study import StudyRecord, read_study
from yolotune.report import answers, course, ladder, story, tables
from yolotune.report.charts import DARK, GLYPHS, INK, MARKS, Chart, label, left_out
from yolotune.report.facts import Facts, gather
from yolotune.report.influence import influence
from yolotune.report.photos import Photos, photographs
from yolotune.tracking.wandb_preflight import redact

FILE = "report.html"
LEFT_OUT = "They were left out of this report; `yolotune report FOLDER` draws them."


def write_report(folder: Path, *, photos: bool = True) -> Path:
    """Writes `report.html` into a study's folder, running or ended, and returns its path.

    Args:
        folder: The study's folder.
        photos: Draw validation photographs with the best weights, about ten seconds on a CPU.

    Raises:
        UserError: The folder holds no study, or a file of it is damaged.

    Example:
        >>> from pathlib import Path
        >>> write_report(Path("runs/tune/study"), photos=False)  # doctest: +SKIP
        PosixPath('runs/tune/study/report.html')
    """
    folder = folder.resolve()  # the page may be read elsewhere
    study = read_study(folder)
    facts = gather(study, _environment(folder))
    drawn = photographs(facts) if photos else Photos([], [], LEFT_OUT)
    path = folder / FILE
    write_atomic(path, render(facts, load_settings(folder, {}), drawn).encode())
    return path


def _environment(folder: Path) -> Mapping[str, Any]:
    """Returns environment.json; nothing where it is missing or damaged, which the page then says."""
    try:
        read = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def render(facts: Facts, settings: Settings, photos: Photos) -> str:
    """Returns the page.

    Everything that comes from the user is escaped where it is put: by the template, and in the figures' JSON. Beyond
    that the page's own policy allows no script but those it was written with, and no request at all.

    Args:
        facts: Of the study.
        settings: Its settings.
        photos: Drawn photographs.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    nonce = secrets.token_urlsafe(16)
    content = sections(facts, settings)
    text = templates.get_template("template.html.j2").render(
        **content,
        facts=facts,
        story=story,
        photos=photos,
        nonce=nonce,
        plotly=f"/* plotly.js {nonce} */",
        figures=embedded({chart.name: chart.figure for chart in _charts(content)}),
        dark=embedded(DARK),
        colors=_colors(),
        style=_part("style.css"),
        script=_part("page.js"),
        made=time.strftime("%Y-%m-%d %H:%M"),
        version=metadata.version("yolotune"),
    )
    # after secrets were taken out of all that is ours: a library of 5 MB has nothing to hide
    return redact(text).replace(f"/* plotly.js {nonce} */", get_plotlyjs(), 1)


def sections(facts: Facts, settings: Settings) -> dict[str, Any]:
    """Returns what the template shows, section by section; absent charts are None."""
    study, space = facts.study, settings.domains
    gaps = course.gaps(study)
    rungs = ladder.rungs(study, settings)
    found = influence(study, settings)
    names = list(found.shares) if found else list(space)
    enough = found is not None
    columns, rows = tables.trial_table(facts, space, gaps)
    train = course.counterpart(study.metric)
    return {
        "best_so_far": course.best_so_far(facts),
        "val_curves": course.curves(facts, study.metric, "curves"),
        "train_curves": course.curves(facts, train, "curves-train") if train else None,
        "rungs": rungs,
        "rung_chart": ladder.rung_chart(facts, rungs),
        "rung_table": tables.rung_table(rungs),
        "influence": found,
        "importance": answers.importance_chart(found) if found else None,
        "slices": answers.slices(facts, space, names[: answers.SLICES]) if facts.best else [],
        "unsliced": max(0, len(names) - answers.SLICES),
        "parallel": answers.parallel(facts, space, names[: answers.ROWS]),
        "together": answers.together(facts, space, names) if enough else None,
        "gaps": gaps,
        "overfitting": course.overfitting_chart(facts, gaps),
        "columns": columns,
        "rows": rows,
        "point": tables.best_point(facts, space),
        "failures": tables.failures(facts),
        "settings": settings,
        "settings_rows": tables.settings_rows(study.settings),
        "environment_rows": tables.environment_rows(facts),
        "left_out": left_out(study),
        "objective": label(study.metric),
        "Objective": label(study.metric)[0].upper() + label(study.metric)[1:],
        "legend": _legend(study),
    }


def _legend(study: StudyRecord) -> list[tuple[str, str, int]]:
    """Returns mark, verdict and count of every verdict that occurs."""
    counts = study.verdicts
    return [(glyph, str(verdict), counts[verdict]) for verdict, glyph in GLYPHS.items() if verdict in counts]


def _charts(content: Mapping[str, Any]) -> list[Chart]:
    found = [part for value in content.values() for part in (value if isinstance(value, list) else [value])]
    return [part for part in found if isinstance(part, Chart)]


def embedded(data: Any) -> Any:
    """Returns JSON that stands in a script element as it is: nothing in it can end the element or begin a tag."""
    from markupsafe import Markup

    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _colors() -> list[tuple[str, str, str]]:
    """Returns name, light and dark colour of every verdict, as the style sheet takes them."""
    return [(str(verdict), color, DARK.get(color, INK)) for verdict, (color, _) in MARKS.items()]


def _part(name: str) -> str:
    """Returns a file of this package."""
    return (resources.files("yolotune") / "report" / name).read_text(encoding="utf-8")
