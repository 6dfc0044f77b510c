"""Importance of each hyperparameter, beside what chance alone reaches."""

from __future__ import annotations

from yolotune.report.chart import Chart
from yolotune.report.formatting import listed, literal
from yolotune.report.results import Results
from yolotune.report.style import ACCENT, FAINT, dotted_line, figure, note


def importance(results: Results) -> Chart | None:
    """Returns a bar for each hyperparameter, and a line where chance ends; None with too few trials."""
    found = results.importance
    if found is None:
        return None
    names = list(found.shares)[::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [literal(name) for name in names],
        "x": [found.shares[name] for name in names],
        "marker": {"color": [ACCENT if name in found.strong else FAINT for name in names]},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    alt = "Importance: " + listed([f"{name} {share:.0%}" for name, share in found.shares.items()], 6)
    alt += f"; chance alone reaches {found.chance:.0%}."
    layout = {
        "height": 90 + 22 * len(names),
        "margin": {"l": 58, "r": 14, "t": 26, "b": 46},
        "shapes": [dotted_line(x=found.chance)],
        "annotations": [note("chance", x=found.chance, xanchor="center", yref="paper", y=1, yanchor="bottom")],
        "bargap": 0.35,
    }
    x = {"title": "share of the importance", "tickformat": ".0%", "rangemode": "tozero"}
    y = {"title": "", "showgrid": False, "type": "category"}
    return Chart("importance", alt, figure([bars], x=x, y=y, **layout))
