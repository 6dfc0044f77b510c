"""Points compared with the defaults on the same seeds: means, paired differences and their intervals; pure.

Two trainings on one seed share the order of the images and the start of the weights' noise, so the difference on each
seed is looked at, not the difference of two means: what a seed does to both cancels out. The interval is Student's t of
the paired differences (Student, "The Probable Error of a Mean", Biometrika 1908).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Two-sided confidence of all intervals.
LEVEL = 0.9


def mean(values: Sequence[float]) -> float | None:
    """Returns the mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def spread(values: Sequence[float]) -> float | None:
    """Returns the sample standard deviation; None of fewer than two."""
    middle = mean(values)
    if middle is None or len(values) < 2:
        return None
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def half_width(differences: Sequence[float]) -> float | None:
    """Returns half the length of the interval around the mean of paired differences; None of fewer than two."""
    deviation = spread(differences)
    if deviation is None:
        return None
    from scipy.stats import t  # slow to load, and needed by few commands

    quantile = float(t.ppf((1 + LEVEL) / 2, len(differences) - 1))
    return quantile * deviation / math.sqrt(len(differences))


@dataclass(frozen=True)
class PairedPoint:
    """A point of the search after its trainings on fresh seeds.

    Attributes:
        trial: Of the search.
        search_value: What the search saw; None where that trial had no value.
        values: The objective by seed, in the order of the seeds; None where a training failed.
        differences: To the defaults on the same seed, where both have a value; empty for the defaults.
    """

    trial: int
    search_value: float | None
    values: tuple[float | None, ...]
    differences: tuple[float, ...] = ()

    @property
    def known(self) -> list[float]:
        """The values of the trainings that have one."""
        return [value for value in self.values if value is not None]

    @property
    def whole(self) -> bool:
        """Whether no training failed. A mean that leaves failures out would flatter the point."""
        return len(self.known) == len(self.values) > 0

    @property
    def mean(self) -> float | None:
        return mean(self.known)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds: what chance alone does to a training of this point."""
        return spread(self.known)

    @property
    def difference(self) -> float | None:
        """Mean paired difference to the defaults."""
        return mean(self.differences)

    @property
    def uncertainty(self) -> float | None:
        """Half width of the interval around the difference."""
        return half_width(self.differences)

    @property
    def curse(self) -> float | None:
        """Winner's curse: what the search promised and fresh seeds do not give."""
        return None if self.search_value is None or self.mean is None else self.search_value - self.mean

    def better(self, mode: str) -> bool:
        """Whether the whole interval lies on the good side of the defaults."""
        if self.difference is None or self.uncertainty is None:
            return False
        sign = 1 if mode == "max" else -1
        return sign * self.difference > self.uncertainty


def compare(
    trial: int, search_value: float | None, values: Sequence[float | None], defaults: Sequence[float | None]
) -> PairedPoint:
    """Returns a point compared with the defaults.

    Args:
        trial: Of the search; 0 is the defaults, which are not compared with themselves.
        search_value: What the search saw.
        values: Of the point, by seed.
        defaults: Of the defaults, on the same seeds in the same order.
    """
    pairs = zip(values, defaults, strict=True) if trial else ()
    differences = tuple(value - other for value, other in pairs if value is not None and other is not None)
    return PairedPoint(trial, search_value, tuple(values), differences)


def best_of(points: Sequence[PairedPoint], mode: str) -> PairedPoint | None:
    """Returns the point with the best mean among those that trained on every seed; None without one."""
    sign = 1 if mode == "max" else -1
    whole = [point for point in points if point.whole]
    return max(whole, key=lambda point: sign * (point.mean or 0.0), default=None)


def conclusion(points: Sequence[PairedPoint], mode: str) -> str:
    """Returns what may be said of the points, in one or two sentences."""
    seeds = len(points[0].values)
    counted = f"{seeds} seed{'s' if seeds > 1 else ''}"
    best = best_of(points, mode)
    if best is None:
        return "No point trained to its end on every seed, so none is confirmed."
    if not points[0].known:
        return "The defaults have no value, so nothing can be compared with them."
    if best.trial == 0:
        return f"No point has a better mean than the defaults ({counted})."
    if best.uncertainty is None:
        return f"Trial {best.trial} has the best mean, but {counted} cannot say whether that is chance: give --seeds 3."
    if best.better(mode):
        gain = f"{abs(best.difference or 0.0):.3f} ± {best.uncertainty:.3f}"
        return f"Trial {best.trial} is better than the defaults by {gain} ({LEVEL:.0%}, {counted})."
    said = f"{best.difference:+.3f} ± {best.uncertainty:.3f}"
    others = [str(point.trial) for point in points if point.better(mode)]
    if others:
        proven = f"Better than the defaults beyond chance ({LEVEL:.0%}, {counted}): trial {', '.join(others)}."
        return f"{proven} Trial {best.trial} has the best mean, but its difference is {said}."
    differs = f"the best mean, trial {best.trial}, differs by {said} ({LEVEL:.0%})"
    return f"No point is distinguishable from the defaults with {counted}; {differs}."
