"""How many trials train at the same time, from what a trial takes: no Ray, no torch."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from yolotune.config.layers import make_settings
from yolotune.schedulers import resolve
from yolotune.training.usage import CUDA_CONTEXT, Card, Usage
from yolotune.tuner.plan import Resources
from yolotune.tuner.slots import PROCESS, Place, Slots

GB = 10**9
POINT = {"batch": 16}
FIRST = Usage(seconds=10.0, steady=True, cores=1.0, memory=2 * GB, available=100 * GB)


def slots(*, most: int = 16, cpus: int = 16, cards: int = 0, auto: bool = True, batch: str = "16") -> Slots:
    resources = Resources(
        gpus=float(cards), cpus=cpus, slots=most, auto=auto, gpu_share=cards / most, cpu_share=cpus / most, cards=cards
    )
    space = {"lr0": "loguniform(1e-4, 1e-1)", "batch": batch}
    return Slots(resources, resolve(make_settings(data="d", preset="none", space=space, imgsz=640)))


def opened(given: Slots, usage: Usage = FIRST) -> tuple[int, str]:
    change = given.epoch(0, POINT, usage)
    assert change is not None and change.open == given.open
    return change.open, change.why


def on_card(taken: float, free: float, busy: float | None = None, **changes: Any) -> Usage:
    return dataclasses.replace(FIRST, card=Card(int(taken * GB), int(free * GB), 80 * GB, busy), **changes)


def test_a_number_of_the_user_is_open_from_the_beginning_and_stays() -> None:
    given = slots(most=3, auto=False)
    assert given.open == 3 and given.epoch(0, POINT, FIRST) is None
    assert given.is_free([1, 2]) and not given.is_free([1, 2, 3])


def test_cores_memory_and_the_study_limit_what_is_opened() -> None:
    assert opened(slots()) == (16, "no more than 16 for this study")
    tight = dataclasses.replace(FIRST, available=5 * GB)
    assert opened(slots(), tight) == (3, "a trial holds 2 GB of memory, 5 GB are free")
    none = dataclasses.replace(FIRST, available=GB)
    assert opened(slots(), none) == (1, "a trial holds 2 GB of memory, 1 GB are free")


def test_a_card_is_filled_by_memory_by_load_and_by_cores() -> None:
    assert opened(slots(cards=1), on_card(5, 20)) == (4, "a trial takes 5 GB of 80 GB of its card")
    assert opened(slots(cards=2), on_card(5, 20))[0] == 8, "cards are taken to be alike"
    assert opened(slots(cards=1), on_card(5, 75, busy=0.3)) == (3, "a trial keeps its card 30% busy")
    assert opened(slots(cards=1), on_card(5, 75, cores=4.0)) == (4, "a trial keeps 4.0 of 16 cores busy")
    assert opened(slots(cards=1), on_card(5, 1)) == (1, "a trial takes 5 GB of 80 GB of its card")


def test_heavier_batches_than_that_of_the_first_trial_are_counted_on() -> None:
    heavy = on_card(3, 36.5)
    assert opened(slots(cards=1), heavy)[0] == 11
    needed = (3 * GB - CUDA_CONTEXT) * 4 + CUDA_CONTEXT
    count, why = opened(slots(cards=1, batch="choice([8, 16, 64])"), heavy)
    assert count == 3 and why.endswith(f"the heaviest {needed / GB:.2g} GB")
    assert opened(slots(cards=1, batch="choice([4, 8])"), heavy)[0] == 11, "lighter ones take no less than was seen"
    held = (2 * GB - PROCESS) * 2 + PROCESS
    assert opened(slots(batch="choice([16, 32])"), dataclasses.replace(FIRST, available=2 * held))[0] == 2


def test_on_a_card_the_first_epoch_says_nothing_yet() -> None:
    given = slots(cards=1)
    first = on_card(5, 20, steady=False)
    assert given.epoch(0, POINT, first) is None and given.open == 1
    assert opened(given, dataclasses.replace(first, steady=True))[0] == 4


@pytest.mark.parametrize(("seconds", "left"), [(20.0, 4), (35.0, 4), (38.0, 2)])
def test_slots_that_do_not_pay_are_closed_once_all_have_trained(seconds: float, left: int) -> None:
    given = slots(most=4)
    opened(given)
    again = dataclasses.replace(FIRST, seconds=seconds)
    for number in range(3):
        assert given.epoch(number, POINT, dataclasses.replace(again, steady=False)) is None, "slow for other reasons"
        assert given.epoch(number, POINT, again) is None
    change = given.epoch(3, POINT, again)
    assert change is not None and change.open == given.open == left
    assert f"{4 * 10 / seconds:.1f} times as fast as one" in change.why


def test_trials_are_spread_over_the_cards_and_a_free_card_is_taken_again() -> None:
    given = slots(most=4, auto=False, cards=2)
    assert [given.take(number) for number in range(4)] == [Place(card, alone=False) for card in (0, 1, 0, 1)]
    given.release(1)
    given.release(3)
    assert [given.take(number).card for number in (4, 5)] == [1, 1]
    assert slots(most=2).take(0) == Place(None, alone=True)


def test_a_lack_of_memory_closes_slots_for_good() -> None:
    given = slots(most=4, auto=False)
    change = given.memory_ran_out(2, [0, 1, 2, 3])
    assert change is not None and (change.open, given.open) == (3, 3)
    assert change.why == "trial 2 ran out of memory beside others"
    alone = given.memory_ran_out(2, [0, 2])
    assert alone is not None and given.open == 1
    given.release(2, again=True)
    assert given.open == 1, "until it has been tried alone"
    given.take(2)
    assert given.memory_ran_out(2, [2]) is None
    given.release(2)
    assert given.open == 3


def test_trials_that_run_out_of_memory_together_are_all_tried_again() -> None:
    given = slots(most=2, auto=False)
    for number in range(2):
        given.take(number)
    assert given.memory_ran_out(0, [0, 1]) is not None
    given.release(0, again=True)
    assert given.memory_ran_out(1, [1]) is not None, "it had begun beside the other"


def test_a_first_trial_that_ran_out_of_memory_alone_leaves_the_measuring_to_the_next() -> None:
    given = slots()
    assert given.memory_ran_out(0, [0]) is None
    assert opened(given)[0] == 16
