"""How often the process of a trial died, and whether the trial is started once more.

Ray can start a trial again by itself (`FailureConfig(max_failures=…)`), but where processes are reused (`reuse_actors`,
Ray 2.60) it counts one death twice, and one that happens between two trials ends the next of them for good. So Ray is
told to give up at once, and the trial goes back to the searcher: it starts again as it would in a resumed study.
"""

from __future__ import annotations

from collections import Counter


class Restarts:
    """Deaths of the processes of a study's trials."""

    def __init__(self, allowed: int) -> None:
        """Begins with none.

        Args:
            allowed: Restarts of one trial.
        """
        self._allowed = allowed
        self._deaths: Counter[int] = Counter()

    def count(self, number: int) -> bool:
        """Counts a death of a trial's process; whether the trial is started again."""
        self._deaths[number] += 1
        return self.again(number)

    def again(self, number: int) -> bool:
        """Returns whether a trial whose process has just died is started again."""
        return 0 < self._deaths[number] <= self._allowed

    def of(self, number: int) -> int:
        """Returns how often a trial's process died."""
        return self._deaths[number]
