"""The Ray of a study's own: it starts while the study is still being checked, and stops while the page is written."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from yolotune.config.isolation import isolate
from yolotune.config.settings import Settings
from yolotune.errors import StudyFailed
from yolotune.tuner.cluster import address_of
from yolotune.tuner.plan import Resources
from yolotune.tuner.private_ray import base_folder, session_folder, start_private_ray
from yolotune.tuner.resources import usable_cores

#: Read by Ray when it is imported or started, so set before that. Each says why.
RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the only way to silence Ray's tables
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",  # no phoning home
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # keep CUDA_VISIBLE_DEVICES for trials without a GPU; quiets a warning
    "RAY_prestart_worker_first_driver": "0",  # a process per core, of which only those of the slots are used
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the record replaces Ray's CSV, JSON and TensorBoard files
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # reports are read by the conductor, not by Ray
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: Ray's handler gives running trials ten seconds
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Ray's snapshots are of no use here
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

#: Held while a Ray is up: a process has one at a time, and the next waits until the one before has stopped.
_turn = threading.Lock()


def set_environment() -> None:
    """Sets what Ray reads when it is imported or started, where the user has not."""
    os.environ.update({name: os.environ.get(name, value) for name, value in RAY_ENVIRONMENT.items()})


class LocalRay:
    """A local Ray that a thread starts, holds and stops, so that nothing else waits for it.

    The thread lives as long as its Ray: the kernel kills Ray's processes when the thread that has started them ends
    (`PR_SET_PDEATHSIG`), so no way of dying leaves them behind. A Ray that this process has started by itself is used
    as it is, and left running.

    Args:
        cpus: Cores to share out.
        gpus: GPUs to share out; None for those that Ray finds.
    """

    def __init__(self, cpus: int, gpus: int | None) -> None:
        isolate()  # Ray's processes inherit the environment
        set_environment()
        import ray  # noqa: F401  # here: the thread's imports would meet those of the checks half-way

        self._cpus = cpus
        self._gpus = gpus
        self._up = threading.Event()
        self._unneeded = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._hold, name="local ray")
        self._thread.start()

    def wait(self) -> None:
        """Waits until Ray is up.

        Raises:
            StudyFailed: It could not be started.
        """
        self._up.wait()
        if self._error is not None:
            what = (str(self._error).strip() or type(self._error).__name__).splitlines()[-1]
            fix = f"See that the machine has cores, memory and room in {base_folder()} to spare, then resume the study."
            raise StudyFailed(f"Ray could not be started: {what}\n{fix}") from self._error

    def serves(self, resources: Resources) -> bool:
        """Waits until Ray is up, and returns whether it shares out what a study has."""
        self.wait()
        return resources.visible is None and (self._cpus, self._gpus) == (resources.cpus, math.ceil(resources.gpus))

    def stop(self) -> None:
        """Stops Ray, and returns at once. The process does not end before Ray has."""
        self._unneeded.set()

    def join(self) -> None:
        """Waits until Ray has stopped."""
        self._thread.join()

    def _hold(self) -> None:
        with _turn, ExitStack() as folders:
            try:
                folder = folders.enter_context(session_folder())
                started = not self._unneeded.is_set() and self._start(folder)
            except Exception as error:  # raised where Ray is needed
                self._error = error
                return
            finally:
                self._up.set()
            if not self._unneeded.is_set():  # while the checks still read files
                import yolotune.tuner.fit  # noqa: F401

            self._unneeded.wait()
            if started:
                import ray

                ray.shutdown()

    def _start(self, folder: str) -> bool:
        """Starts Ray; False where this process has one already."""
        import ray

        if ray.is_initialized():
            return False
        start_private_ray(folder, self._cpus, self._gpus)
        self._gpus = int(ray.cluster_resources().get("GPU", 0))
        return True


@contextmanager
def ray_ahead(settings: Settings) -> Iterator[LocalRay | None]:
    """Starts a local Ray for what is run in the block, which begins by checking a study; None where it cannot yet.

    After an error Ray stops behind the message, so that it is said at once.

    Args:
        settings: Of the study, not checked. A cluster is joined later, and cards are chosen when they are counted.
    """
    device = None if settings.device is None else str(settings.device).lower()
    if address_of(settings.address) or device not in (None, "cpu"):
        yield None
        return
    gpus = 0 if device == "cpu" else None if settings.gpus is None else math.ceil(settings.gpus)
    local = LocalRay(settings.cpus or usable_cores(), gpus)
    try:
        yield local
    finally:
        local.stop()
    local.join()


@contextmanager
def ray_started(resources: Resources, ahead: LocalRay | None) -> Iterator[None]:
    """Has a local Ray with the study's cores and GPUs, and stops it without waiting for that.

    Whoever lets go of a reference to an object or an actor while Ray stops ends the process on the spot: Ray's C++ code
    calls `_Exit`. So none may be left at the end of the block; after an error, which holds them, Ray is waited for.

    Args:
        resources: Of the study.
        ahead: A Ray that was started before they were known; another one is started where it does not serve.
    """
    local = ahead
    if local is None or not local.serves(resources):
        if local is not None:
            local.stop()
        if resources.visible is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = resources.visible
        local = LocalRay(resources.cpus, math.ceil(resources.gpus))
    try:
        local.wait()
        yield
    except BaseException:
        local.stop()
        local.join()
        raise
    local.stop()
