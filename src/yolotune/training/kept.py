"""The batches of an evaluation, made once: they are the same in every epoch. Importing this module imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

#: Bytes of batches that an evaluation keeps at most: a hundred images of 640 px.
MOST_KEPT = 128_000_000


class KeptBatches:
    """A data loader that keeps its batches where they fit, and then needs its worker processes no more.

    An image of an evaluation is neither augmented nor shuffled, so reading, resizing and collating it again gives the
    same bytes. Each batch is given out as a new map of the same tensors; they must not be written to.

    Args:
        loader: Ultralytics' data loader; all but its batches is asked of it.
        most: Bytes to keep at most; of a larger split nothing is kept.
    """

    def __init__(self, loader: Any, most: int = MOST_KEPT) -> None:
        self._loader = loader
        self._most = most
        self._kept: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._kept is not None:
            yield from map(dict, self._kept)
            return
        kept, left = [], self._most
        for batch in self._loader:
            left -= _size(batch) if left >= 0 else 0
            if left >= 0:
                kept.append(dict(batch))
            else:
                kept.clear()
            yield batch
        if left >= 0:
            self._kept = kept
            self._loader.close()


def _size(batch: dict[str, Any]) -> int:
    """Returns the bytes of a batch's tensors."""
    return sum(value.nbytes for value in batch.values() if isinstance(value, torch.Tensor))
