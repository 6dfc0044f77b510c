"""Ray Tune assembled: a local Ray or a cluster, the hooks around the conductor, signals."""

from __future__ import annotations

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
    from ray import tune
    from ray.tune.error import TuneError

    from yolotune.tuner.last_verdict import LastVerdict
    from yolotune.tuner.ray_hooks import Hooks, Silence
    from yolotune.tuner.trainable import Trainable

    plan, folder = parts.plan, parts.record.folder
    hooks = Hooks(conductor)
    callbacks: list[tune.Callback] = [hooks.callback]
    if on_last_verdict is not None:  # before the other, which waits for the last trials
        callbacks.insert(0, LastVerdict(conductor, on_last_verdict))
    trained = tune.with_parameters(trainable or Trainable, job=job, tracker=tracker, study_folder=folder)
    address = address_of(plan.settings.address)
    # Ray puts parts of cards on the first one until it is full; on this machine the conductor spreads them
    gpu_share = 0.0 if plan.resources.cards else plan.resources.gpu_share
    share = {"cpu": plan.resources.cpu_share, "gpu": gpu_share}
    with (
        joined(address) if address else ray_started(plan.resources, ahead),
        _signals(parts.stop, parts.listener),
    ):  # in this order: Ray, where it joins a cluster, sets a handler of its own for SIGTERM
        try:
            tune.Tuner(
                tune.with_resources(trained, share),
                tune_config=tune.TuneConfig(
                    search_alg=hooks.searcher,
                    scheduler=hooks.scheduler,
                    num_samples=-1,  # the conductor counts: a trial whose process died comes again
                    max_concurrent_trials=None,  # the conductor gives out no trial without a slot (`slots.py`)
                    trial_dirname_creator=lambda trial: f"{trial.config['number']:04d}",
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="ray",
                    storage_path=str(folder),
                    stop=hooks.stopper,
                    callbacks=callbacks,
                    # a trial continues from its own folder: Ray's checkpoints are empty
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=0),  # see `Conductor.died`
                    verbose=0,
                    progress_reporter=Silence(),
                ),
            ).fit()
        except (ray.exceptions.RayError, TuneError, OSError) as error:
            # where the record could not be written, the conductor has said so
            parts.stop.fail(f"Ray broke: {str(error).strip().splitlines()[-1]}")


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
