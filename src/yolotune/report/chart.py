"""What a chart is, and which charts the page has: each is registered with the section it stands in.

A chart is one function from the results of a study to a `Chart`, or None where there is nothing to draw:

    def epoch_times(results: Results) -> Chart | None:
        ...

    register_chart("Time", epoch_times)

A section that the page does not have yet comes at its end, under this name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from yolotune.report.results import Results
from yolotune.report.style import Figure

#: Sections of the page that have charts, with text of their own in the template; in their order.
SECTIONS = ("progress", "curves", "rungs", "hyperparameters", "overfitting")


@dataclass(frozen=True)
class Chart:
    """A figure, and its numbers in words for readers who do not see it.

    Attributes:
        name: Identifies it on the page; no two charts have the same.
        alt: One or two sentences with its numbers.
        figure: Traces and layout in Plotly's form, see `style.figure`.
        title: Above the figure; empty where the section says it.
    """

    name: str
    alt: str
    figure: Figure
    title: str = ""


@dataclass(frozen=True)
class ChartGroup:
    """Charts side by side, below a heading and a text.

    Attributes:
        charts: One or more.
        heading: Empty for none.
        text: A paragraph that says how to read them; empty for none.
        width: Of a chart in pixels, at least: narrower screens show fewer side by side.
    """

    charts: tuple[Chart, ...]
    heading: str = ""
    text: str = ""
    width: int = 420


ChartBuilder = Callable[[Results], Chart | ChartGroup | None]

_BUILDERS: dict[str, list[ChartBuilder]] = {section: [] for section in SECTIONS}


def register_chart(section: str, builder: ChartBuilder) -> None:
    """Adds a chart to the page, after those that its section has.

    Args:
        section: One of `SECTIONS`, or the heading of a new section at the end of the page.
        builder: Makes the chart; returns None where there is nothing to draw.
    """
    _BUILDERS.setdefault(section, []).append(builder)


def build_charts(results: Results) -> dict[str, list[ChartGroup]]:
    """Returns the charts of every section, in their order; those of `SECTIONS` first.

    Raises:
        ValueError: Two charts have the same name.
    """
    found = {section: list(_built(builders, results)) for section, builders in _BUILDERS.items()}
    names = [chart.name for groups in found.values() for group in groups for chart in group.charts]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"Two charts are called {', '.join(sorted(twice))}. Each needs a name of its own.")
    return found


def _built(builders: list[ChartBuilder], results: Results) -> Iterator[ChartGroup]:
    for builder in builders:
        chart = builder(results)
        if chart is not None:
            yield chart if isinstance(chart, ChartGroup) else ChartGroup((chart,))
