"""What a study may cost at most, in what its user pays: epochs, or hours."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(epochs?|h|m|s|)")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Budget:
    """A ceiling for the whole study, over all its resumes: one of the two is None.

    Attributes:
        epochs: Trained, by all trials together.
        seconds: Of the wall clock, while a process works on the study.
    """

    epochs: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads `2000`, `2000epochs`, `8h`, `90m` or `30s`.

        Raises:
            ValueError: It is none of these, or nothing.
        """
        found = _FORM.fullmatch(text.strip())
        number, unit = (float(found[1]), found[2]) if found else (0.0, "")
        if unit in _SECONDS and number > 0:
            return cls(seconds=number * _SECONDS[unit])
        if unit not in _SECONDS and number >= 1 and number.is_integer():
            return cls(epochs=int(number))
        raise ValueError("Epochs such as 2000, or a time such as 8h, 90m or 30s are expected")

    def spent(self, epochs: int, seconds: float) -> bool:
        """Whether no further epoch may begin.

        Args:
            epochs: Trained or begun.
            seconds: Worked.
        """
        over = self.seconds is not None and seconds >= self.seconds
        return over or (self.epochs is not None and epochs >= self.epochs)

    @property
    def given(self) -> bool:
        return self != Budget()

    @property
    def doubled(self) -> str:
        """Twice as much, as `parse` reads it."""
        if self.seconds is None:
            return str(2 * (self.epochs or 0))
        number, unit = _in_words(2 * self.seconds)
        return f"{number}{unit}"

    def __str__(self) -> str:
        return f"{self.epochs:,} epochs" if self.seconds is None else " ".join(_in_words(self.seconds))


def _in_words(seconds: float) -> tuple[str, str]:
    """Returns a time as a number and the largest unit that it fills."""
    unit, size = next((unit, size) for unit, size in _SECONDS.items() if seconds >= size or size == 1)
    return f"{seconds / size:g}", unit
