"""The page of a study, and where a study is now, both from the record alone.

`register_chart` adds a chart to the page; `charts/` holds the built-in ones.
"""

from yolotune.report.chart import Chart, ChartGroup, register_chart
from yolotune.report.page import write_report
from yolotune.report.results import Results
from yolotune.report.style import figure

__all__ = ["Chart", "ChartGroup", "Results", "figure", "register_chart", "write_report"]
