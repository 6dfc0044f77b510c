"""Batches of an evaluation that are made once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from yolotune.training.kept import KeptBatches


class Loader:
    """A loader of three batches of 12 bytes that counts what it is asked for."""

    batch_size = 3

    def __init__(self) -> None:
        self.made = 0
        self.closed = 0

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in range(3):
            self.made += 1
            yield {"img": torch.full((3,), number, dtype=torch.float32), "im_file": [str(number)]}

    def close(self) -> None:
        self.closed += 1


def numbers(batches: KeptBatches) -> list[float]:
    """Goes through the batches as a validator does, which puts other tensors into each."""
    found = []
    for batch in batches:
        found.append(float(batch["img"][0]))
        batch["img"] = batch["img"] / 255
    return found


@pytest.mark.parametrize(("most", "made", "closed"), [(36, 3, 1), (35, 9, 0), (0, 9, 0)])
def test_batches_are_made_once_where_all_of_them_fit(most: int, made: int, closed: int) -> None:
    loader = Loader()
    batches = KeptBatches(loader, most)
    assert [numbers(batches) for _ in range(3)] == [[0.0, 1.0, 2.0]] * 3
    assert (loader.made, loader.closed) == (made, closed), "its processes are let go"
    assert (len(batches), batches.batch_size) == (3, 3), "it passes for the loader"


def test_a_pass_that_is_broken_off_keeps_nothing() -> None:
    loader = Loader()
    batches = KeptBatches(loader)
    for _ in batches:
        break
    assert numbers(batches) == [0.0, 1.0, 2.0] and loader.made == 4
