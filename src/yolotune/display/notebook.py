"""What a notebook shows of a study: a small table that needs nothing but itself."""

from __future__ import annotations

from html import escape

from yolotune.display.formats import short
from yolotune.display.tables import trial_row
from yolotune.record.study import StudyRecord
from yolotune.report.formatting import number, plural

#: Rows at most; of a longer study the best trials are shown.
MOST_ROWS = 50


def study_html(record: StudyRecord) -> str:
    """Returns a study as a self-contained HTML table, for `_repr_html_`.

    Args:
        record: The study, running or ended.
    """
    best, trials = record.best, record.trials
    shown = trials
    if len(trials) > MOST_ROWS:
        sign = -1 if record.mode == "max" else 1
        ranked = sorted(trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0.0)))
        shown = ranked[:MOST_ROWS]
    heads = ("trial", "verdict", "epochs", "best epoch", record.settings.objective)
    said = "no value yet" if best is None else f"best {number(best.value)}, trial {best.number}"
    left_out = f", the best {MOST_ROWS} of them below" if len(shown) < len(trials) else ""
    caption = f"{short(record.folder)}: {plural(len(trials), 'trial')}{left_out}; {said}"
    rows = "".join(_row(trial_row(trial), "td", bold=trial is best) for trial in shown)
    return (
        f'<table><caption style="text-align: left">{escape(caption)}</caption>'
        f"<thead>{_row(heads, 'th')}</thead><tbody>{rows}</tbody></table>"
    )


def _row(cells: tuple[str, ...], tag: str, *, bold: bool = False) -> str:
    style = ' style="font-weight: bold"' if bold else ""
    return f"<tr{style}>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
