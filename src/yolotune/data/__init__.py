"""A dataset: `data.yaml`, the checks of images and labels, and the index that trials read instead of them.

`load_dataset` returns a `Dataset` whose every file has been looked at, or says all that is wrong with it. `examine`
also says what is likely wrong; `read_summary` returns what it said of a study's dataset.
"""

from yolotune.data.dataset import Dataset, load_dataset
from yolotune.data.doctor import Examination, examine, read_summary
from yolotune.data.findings import Finding, Level
from yolotune.data.summary import SplitSummary, Summary

__all__ = [
    "Dataset",
    "Examination",
    "Finding",
    "Level",
    "SplitSummary",
    "Summary",
    "examine",
    "load_dataset",
    "read_summary",
]
