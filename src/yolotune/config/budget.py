"""What a study may cost at most, in what its user pays: epochs, or hours."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"(\d+(?:\.\d+)?)\s*"
_EPOCHS = re.compile(rf"{_NUMBER}(?:epochs?)?")
_TIME = re.compile(rf"(?:{_NUMBER}h)?\s*(?:{_NUMBER}m(?:in)?)?\s*(?:{_NUMBER}s)?")
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
        """Reads `2000`, `2000epochs`, `8h`, `90m`, `30s` or `1 h 30 min`.

        Raises:
            ValueError: It is none of these, or nothing.
        """
        if (counted := _EPOCHS.fullmatch(text.strip())) and float(counted[1]) >= 1 and float(counted[1]).is_integer():
            return cls(epochs=int(float(counted[1])))
        if timed := _TIME.fullmatch(text.strip()):
            given = zip(timed.groups(), _SECONDS.values(), strict=True)
            if seconds := sum(float(number) * size for number, size in given if number):
                return cls(seconds=seconds)
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
        unit, size = next((unit, size) for unit, size in _SECONDS.items() if size == 1 or not 2 * self.seconds % size)
        return f"{2 * self.seconds / size:g}{unit}"

    def __str__(self) -> str:
        return f"{self.epochs:,} epochs" if self.seconds is None else _in_words(self.seconds)


def _in_words(seconds: float) -> str:
    """Returns a time such as `1 h 40 min`."""
    if seconds < 60:
        return f"{seconds:g} s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
