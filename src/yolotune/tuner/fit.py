"""Ray Tune assembled: the hooks around the conductor, and all that Tune is told to leave to them."""

from __future__ import annotations

from collections.abc import Callable

from ray import tune

from yolotune.tracking import Tracker
from yolotune.training.job import Job
from yolotune.tuner.conductor import Conductor
from yolotune.tuner.last_verdict import LastVerdict
from yolotune.tuner.parts import Parts
from yolotune.tuner.ray_hooks import Hooks, Silence
from yolotune.tuner.trainable import Trainable


def fit(
    conductor: Conductor,
    parts: Parts,
    job: Job,
    tracker: Tracker,
    *,
    on_last_verdict: Callable[[], None] | None = None,
    trainable: type[Trainable] | None = None,
) -> None:
    """Has Ray Tune run trials until the conductor has no more. Ray must be up.

    Args:
        conductor: Decides.
        parts: What it works with.
        job: What all trainings are told.
        tracker: What all trainings are logged with.
        on_last_verdict: Called when every trial has its verdict, while the last ones still end in good order.
        trainable: A stand-in for `trainable.Trainable`.

    Raises:
        TuneError: Tune broke.
        RayError: Ray broke.
        OSError: Something could not be written.
    """
    resources, folder = parts.plan.resources, parts.record.folder
    hooks = Hooks(conductor)
    callbacks: list[tune.Callback] = [hooks.callback]
    if on_last_verdict is not None:  # before the other, which waits for the last trials
        callbacks.insert(0, LastVerdict(conductor, on_last_verdict))
    trained = tune.with_parameters(trainable or Trainable, job=job, tracker=tracker, study_folder=folder)
    # Ray puts parts of cards on the first one until it is full; on this machine the conductor spreads them
    gpu_share = 0.0 if resources.cards else resources.gpu_share
    tune.Tuner(
        tune.with_resources(trained, {"cpu": resources.cpu_share, "gpu": gpu_share}),
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
