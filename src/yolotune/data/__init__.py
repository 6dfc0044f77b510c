"""A dataset: `data.yaml`, the checks of images and labels, and the index that trials read instead of them.

`load_dataset` returns a `Dataset` whose every file has been looked at, or says all that is wrong with it.
"""

from yolotune.data.dataset import Dataset, load_dataset

__all__ = ["Dataset", "load_dataset"]
