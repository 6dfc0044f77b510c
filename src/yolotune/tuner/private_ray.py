"""The Ray that a study starts for itself: closed to other users and machines, without the processes it has no use for.

Ray 2.60 has options for none of this but the folder, so its private parts are touched, and nowhere else.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Characters of a folder in which the names of Ray's sockets stay below the 107 that Linux takes (103 on macOS).
LONGEST_BASE = 12


def start_private_ray(folder: str, cpus: int, gpus: int | None) -> None:
    """Starts it.

    Args:
        folder: For its sockets and logs.
        cpus: Cores to share out.
        gpus: GPUs to share out; None for those that Ray finds.

    Raises:
        Exception: What `ray.init` raised; nothing of Ray is left then.
    """
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what goes wrong with a trial is in its verdict
    _close_token_file()
    try:
        with _loopback_only(), _bare():
            ray.init(
                address="local",
                _temp_dir=f"{folder}/ray",  # Ray opens this one to all; the folder around it stays closed
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=256 * 2**20,  # trials exchange numbers, not tensors
            )
    except Exception:
        ray.shutdown()
        raise


def base_folder() -> str:
    """Returns where Ray's folders are made."""
    base = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return base if len(base) <= LONGEST_BASE else "/tmp"  # the new folder in it is private


def session_folder() -> tempfile.TemporaryDirectory[str]:
    """Returns a new folder for Ray's sockets and logs that only this user can enter, to be removed after use."""
    return tempfile.TemporaryDirectory(prefix="yolotune-ray-", dir=base_folder(), ignore_cleanup_errors=True)


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Makes a Ray that starts in the block listen on 127.0.0.1 alone, as Ray does on macOS; on Linux it opens to all.

    Ray reads the variable when it is imported, which may have happened; its processes read it when they start.
    """
    from ray._private import ray_constants

    name, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    given = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:  # this process may join a cluster later
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name)
        os.environ.update({} if given is None else {name: given})


@contextmanager
def _bare() -> Iterator[None]:
    """Makes a Ray that starts in the block do without three Python processes and a thread that nobody asks anything.

    They are the autoscaler's monitor, the log monitor, the dashboard's server, which runs even with
    `include_dashboard=False`, and the thread that prints "(raylet) A worker died" between a study's own lines. Without
    them Ray starts and stops 0.8 s sooner, and leaves the cores to the study's checks (`benchmarks.cost.startup`).
    """
    from ray._private import worker
    from ray._private.node import Node

    unused = [(Node, "start_monitor"), (Node, "start_log_monitor"), (Node, "start_api_server")]
    unused += [(worker, "listen_error_messages")]
    before = [getattr(owner, name) for owner, name in unused]
    for owner, name in unused:
        setattr(owner, name, _nothing)
    try:
        yield
    finally:
        for (owner, name), given in zip(unused, before, strict=True):
            setattr(owner, name, given)


def _nothing(*_: object, **__: object) -> None:
    """Stands in for what a study has no use for."""


def _close_token_file() -> None:
    """Makes the file of Ray's token one that only this user can read; Ray creates it as the umask says."""
    with suppress(OSError, RuntimeError):  # no home, or none to write to: Ray says so, if it needs the file
        path = Path.home() / ".ray" / "auth_token"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as written:
                written.write(secrets.token_hex(32))
        path.chmod(0o600)
