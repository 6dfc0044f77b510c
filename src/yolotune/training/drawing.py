"""Draws the pictures of a training."""

from __future__ import annotations

from typing import Any

from yolotune.training import figures


class Curves:
    """The pictures of one training."""

    def draw(self, figure: str, **data: Any) -> None:
        """Draws a picture.

        Args:
            figure: A function of `figures.py`.
            data: Its arguments.
        """
        getattr(figures, figure)(**data)
