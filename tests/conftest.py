"""What the tests share: a made dataset, and an environment in which nothing of the user's is touched."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import make_job
from processes import end_all
from yolotune.config.isolation import isolate
from yolotune.data.shapes import make_shapes
from yolotune.training.job import Job

os.environ["WANDB_MODE"] = "disabled"
os.environ["PYTHONPATH"] = os.pathsep.join(  # where Ray's workers find stand-ins
    [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background, and so in all we start
isolate()  # before any test module imports Ultralytics


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of shapes, 12 training and 6 validation images of 64 px; its data.yaml."""
    return make_shapes(tmp_path_factory.mktemp("shapes"), train=12, val=6, size=64, per_image=2)


@pytest.fixture(scope="session")
def job(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    return make_job(shapes, tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[None]:
    """A local Ray that studies of many tests use, each after the other: to start one takes seconds.

    Not one of `private_ray.py`: Ray gives its address, 127.0.0.1, to the clusters that the same process starts.
    """
    import ray

    from yolotune.tuner.local_ray import RAY_ENVIRONMENT

    os.environ.update(RAY_ENVIRONMENT)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def no_command_is_left() -> Iterator[None]:
    """Ends what a test has started and, having failed, not ended: it would take the cores from the next ones."""
    yield
    end_all()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Notes a measured figure; all are printed at the end, and docs/reliability.md quotes them."""
    return lambda name, value: record_property("figure", f"{name}: {value:.3g}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for kind, said in report.user_properties if report.when == "call" else ():
            if kind == "figure":
                terminalreporter.write_line(f"figure  {said}  ({report.nodeid.split('::')[-1]})")
