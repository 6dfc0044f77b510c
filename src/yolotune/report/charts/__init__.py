"""The charts of the page, a file each. They are registered here, in the order in which their sections show them."""

from yolotune.report.chart import register_chart
from yolotune.report.charts.best_so_far import best_so_far
from yolotune.report.charts.importance import importance
from yolotune.report.charts.learning_curves import learning_curves
from yolotune.report.charts.overfitting import overfitting
from yolotune.report.charts.parallel_coordinates import parallel_coordinates
from yolotune.report.charts.rungs import rungs
from yolotune.report.charts.slices import slices
from yolotune.report.charts.strongest_pair import strongest_pair

register_chart("progress", best_so_far)
register_chart("curves", learning_curves)
register_chart("rungs", rungs)
register_chart("hyperparameters", importance)
register_chart("hyperparameters", slices)
register_chart("hyperparameters", parallel_coordinates)
register_chart("hyperparameters", strongest_pair)
register_chart("overfitting", overfitting)
