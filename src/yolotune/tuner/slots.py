"""How many trials train at the same time, and on which card each.

With a number from the user there are as many slots from the beginning. With `auto` a study begins with trial 0 alone,
sees what its epochs take of memory, cores and card, and opens as many further slots as fit; where they do not make the
study faster, half of them are closed again. A trial that runs out of memory beside others is tried again with a slot
less, then alone, before that is its verdict.

Plain code: it knows neither Ray nor torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.training.usage import CUDA_CONTEXT, Card, Usage
from yolotune.tuner.plan import Resources

#: Share of a card's or a machine's free memory that slots may fill; the rest is for what nobody foresees.
FILLED = 0.9
#: Slots stay open if together they train so many times as many epochs an hour as one did.
PAYS = 1.1
#: Bytes of a process that has imported PyTorch and Ultralytics and holds a model.
PROCESS = 600_000_000
#: A card that computes in so large a part of the time is taken as full.
FULL = 0.95


@dataclass(frozen=True)
class Place:
    """Where a trial trains.

    Attributes:
        card: Of this machine; None without cards, or where Ray chooses it.
        alone: Whether no other trial may begin beside it.
    """

    card: int | None = None
    alone: bool = True


@dataclass(frozen=True)
class Change:
    """How many slots are open from now on.

    Attributes:
        open: The number.
        why: In words.
    """

    open: int
    why: str


class Slots:
    """Decides how many trials train at the same time."""

    def __init__(self, resources: Resources, settings: Settings) -> None:
        self._resources = resources
        self._heaviest = _heaviest(settings)
        self._fixed = settings.fixed
        self._measures = resources.auto  # whether further slots are still to be opened
        self._most = resources.slots
        self._open = 1 if resources.auto else resources.slots
        self._lonely: int | None = None  # has run out of memory twice; nothing trains beside it
        self._out_of_memory: Counter[int] = Counter()
        self._cards: dict[int, int] = {}
        self._began_alone: dict[int, bool] = {}
        self._single: float | None = None  # seconds of an epoch of trial 0 alone
        self._epochs: dict[int, float] = {}  # seconds of a steady epoch, by trial, since slots were opened

    @property
    def open(self) -> int:
        """Trials that may train at the same time."""
        return 1 if self._lonely is not None else self._open

    def is_free(self, busy: Collection[int]) -> bool:
        """Whether a further trial may begin beside those that have a slot."""
        return len(busy) < self.open

    def take(self, number: int) -> Place:
        """Gives a trial a slot, on the card with the fewest trials."""
        card = None
        if self._resources.cards:
            used = Counter(self._cards.values())
            card = self._cards[number] = min(range(self._resources.cards), key=lambda card: used[card])
        self._began_alone[number] = self.open == 1
        return Place(card, self.open == 1)

    def release(self, number: int, *, again: bool = False) -> None:
        """A trial has left its slot, to be tried again or not."""
        self._cards.pop(number, None)
        if number == self._lonely and not again:
            self._lonely = None

    def epoch(self, number: int, point: Point, usage: Usage) -> Change | None:
        """Takes in what an epoch of a trial took, and says how many slots are open from now on if that changes.

        Args:
            number: The trial.
            point: Its hyperparameters.
            usage: What its epoch took.
        """
        if not self._resources.auto or not (usage.steady or usage.card is None):
            return None
        if self._measures:
            self._measures = False
            self._single = usage.seconds
            fit, why = self._fit(point, usage)
            return self._set(fit, why) if fit > 1 else Change(1, why)
        self._epochs[number] = usage.seconds
        return self._paid() if usage.steady and self._open > 1 else None

    def _fit(self, point: Point, usage: Usage) -> tuple[int, str]:
        """Returns how many slots fit beside each other, and what limits them, in words."""
        heavier = max(1.0, self._heaviest / _load({**self._fixed, **point}))
        held = usage.memory if usage.card else _scaled(usage.memory, PROCESS, heavier)
        limits = {
            f"no more than {self._most} for this study": self._most,
            f"a trial holds {_gb(usage.memory)} of memory, {_gb(usage.available)} are free": (
                1 + int((FILLED * usage.available - held + usage.memory) / held)
            ),
        }
        if usage.card:
            limits |= self._fit_on_cards(usage.card, heavier)
            cores = max(usage.cores, 0.5)
            limits[f"a trial keeps {cores:.1f} of {self._resources.cpus} cores busy"] = int(
                self._resources.cpus / cores
            )
        why = min(limits, key=lambda words: limits[words])
        return max(1, limits[why]), why

    def _fit_on_cards(self, card: Card, heavier: float) -> dict[str, int]:
        """Returns how many slots fit on all cards, by what limits them."""
        cards, needed = max(1, self._resources.cards), _scaled(card.taken, CUDA_CONTEXT, heavier)
        more = int((FILLED * card.free - needed + card.taken) / needed)
        words = f"a trial takes {_gb(card.taken)} of {_gb(card.total)} of its card"
        if heavier > 1:
            words += f", the heaviest {_gb(needed)}"
        limits = {words: cards * (1 + max(0, more))}
        if card.busy:
            limits[f"a trial keeps its card {card.busy:.0%} busy"] = cards * max(1, round(FULL / card.busy))
        return limits

    def _paid(self) -> Change | None:
        """Closes half of the slots if they do not train faster than one; judged once all of them have trained."""
        if self._single is None or len(self._epochs) < self._open:
            return None
        latest = list(self._epochs.values())[-self._open :]
        gain = self._single * sum(1 / seconds for seconds in latest)
        if gain >= PAYS:
            self._single = None  # judged
            return Change(self._open, f"{self._open} trials at a time train {gain:.1f} times as fast as one")
        return self._set(self._open // 2, f"{self._open} trials at a time train only {gain:.1f} times as fast as one")

    def memory_ran_out(self, number: int, busy: Collection[int]) -> Change | None:
        """Says how the study goes on when a trial has run out of memory; None: it is the trial's own verdict.

        Args:
            number: The trial.
            busy: Trials that have a slot, with or without this one.
        """
        beside = len(set(busy) - {number})
        if not beside and self._began_alone.get(number, True):
            return None
        self._out_of_memory[number] += 1
        if self._out_of_memory[number] == 1:
            self._most = min(self._most, max(1, beside))
            return self._set(min(self._open, self._most), f"trial {number} ran out of memory beside others")
        self._lonely = number
        return Change(1, f"trial {number} ran out of memory again, and is tried alone")

    def _set(self, slots: int, why: str) -> Change:
        self._open = max(1, slots)
        self._epochs.clear()
        return Change(self._open, why)


def _heaviest(settings: Settings) -> float:
    """Returns the load of the heaviest point of a study."""
    batch = settings.domains.get("batch")
    return _load(settings.fixed if batch is None else {"batch": max(batch.ends())})


def _load(arguments: Mapping[str, Any]) -> float:
    """Returns what memory grows with from trial to trial: the images of a batch."""
    return max(1.0, float(arguments.get("batch", 16)))


def _scaled(size: float, constant: float, heavier: float) -> float:
    """Returns the bytes of a training that is so many times heavier; a part of them does not depend on that."""
    return size + max(0.0, size - constant) * (heavier - 1)


def _gb(size: float) -> str:
    return f"{size / 1e9:.2g} GB"
