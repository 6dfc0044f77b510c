"""What Ray Tune runs in: a local Ray or a cluster, and signals."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from yolotune.tracking import Tracker
from yolotune.training.job import Job
from yolotune.tuner.cluster import address_of, joined
from yolotune.tuner.conductor import Conductor
from yolotune.tuner.events import Listener
from yolotune.tuner.local_ray import LocalRay, ray_started, set_environment
from yolotune.tuner.parts import Parts
from yolotune.tuner.stop import StudyStop

if TYPE_CHECKING:
    from yolotune.tuner.trainable import Trainable


def run_trials(
    conductor: Conductor,
    parts: Parts,
    job: Job,
    tracker: Tracker,
    *,
    ahead: LocalRay | None = None,
    on_last_verdict: Callable[[], None] | None = None,
    trainable: type[Trainable] | None = None,
) -> None:
    """Runs trials until the conductor has no more, or something broke, which `parts.stop` then says.

    Args:
        conductor: Decides.
        parts: What it works with.
        job: What all trainings are told.
        tracker: What all trainings are logged with.
        ahead: A local Ray that was started while the study was checked.
        on_last_verdict: Called when every trial has its verdict, while the last ones still end in good order.
        trainable: A stand-in for `trainable.Trainable`.
    """
    set_environment()
    import ray
    from ray.tune.error import TuneError

    from yolotune.tuner.fit import fit  # Ray comes up while this is imported

    resources = parts.plan.resources
    address = address_of(parts.plan.settings.address)
    with (
        joined(address) if address else ray_started(resources, ahead),
        _signals(parts.stop, parts.listener),
    ):  # in this order: Ray, where it joins a cluster, sets a handler of its own for SIGTERM
        try:
            fit(conductor, parts, job, tracker, on_last_verdict=on_last_verdict, trainable=trainable)
        except (ray.exceptions.RayError, TuneError, OSError) as error:
            # where the record could not be written, the conductor has said so
            parts.stop.fail(f"Ray broke: {str(error).strip().splitlines()[-1]}")
        gc.collect()  # Tune's trials, with references to actors and objects (`ray_started`)


@contextmanager
def _signals(stop: StudyStop, listener: Listener) -> Iterator[None]:
    """Ctrl-C and SIGTERM: the first asks all trials to end after their epoch, the second ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_signal: int, _frame: Any) -> None:
        if stop.signalled:
            raise KeyboardInterrupt
        stop.signal()
        listener.interrupted()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
