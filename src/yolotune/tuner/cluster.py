"""A Ray cluster: what its nodes have, and whether each of them sees what a trial needs.

Every node proves it by a task that runs there: it reads data.yaml, some images and the weights, it finds a file that
the driver left in the storage and answers beside it, and it names its versions. What does not hold is said by node.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from yolotune.data.dataset import Dataset, sample_images
from yolotune.errors import Problem, fail

#: Seconds in which all nodes must have answered.
ANSWER_S = 60.0
#: Seconds in which a cluster must accept a connection.
CONNECT_S = 5.0
#: Images of each split that a node must see.
IMAGES = 20
#: Packages that must have the same version everywhere, or trials of different nodes cannot be compared.
SAME = ("yolotune", "ultralytics", "torch")


@dataclass(frozen=True)
class Node:
    """A node of a cluster: its address, and the CPU cores and GPUs that Ray counts there."""

    name: str
    cpus: float
    gpus: float


def address_of(wanted: str | None) -> str | None:
    """Returns the cluster to join: what was asked for, else RAY_ADDRESS; None for a Ray of the study's own."""
    address = wanted or os.environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address


@contextlib.contextmanager
def joined(address: str) -> Iterator[None]:
    """Connects to a cluster, quietly.

    Raises:
        UserError: There is none, or it runs another version of Ray or Python.
    """
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    _require_listener(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        said = str(error).strip().splitlines()[0]
        raise fail("address", f"no Ray cluster at {address!r}: {said}", _START) from error
    try:
        yield
    finally:
        ray.shutdown()


_START = "start one with `ray start --head` and join nodes with `ray start --address=HOST:6379`, or leave it out."


def _require_listener(address: str) -> None:
    """Refuses an address where nothing listens; Ray would try it for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():  # `auto`, which Ray looks up itself
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except OSError as error:
        raise fail("address", f"no Ray cluster at {address!r}: {error.strerror or error}.", _START) from error


@dataclass(frozen=True)
class Proof:
    """What a node must see: files by path with their digest, images with their size, and a word in the storage."""

    digests: dict[str, str]
    sizes: dict[str, int]
    storage: str
    word: str
    versions: dict[str, str | None]


def survey(address: str, dataset: Dataset | None, model: str | None, storage: Path) -> tuple[list[Node], list[Problem]]:
    """Returns the nodes of a cluster and what is wrong with them.

    Args:
        address: The cluster.
        dataset: The data; None if they are not right here already.
        model: Absolute path of the weights, or an architecture that needs no file.
        storage: A folder that exists and that all nodes must see and be able to write to.

    Raises:
        UserError: No such cluster.
    """
    with joined(address):
        nodes = _alive()
        if not nodes:
            raise fail("address", f"no node of {address} has a CPU core to give.", "start nodes with --num-cpus.")
        problems = _ask_nodes(nodes, _proof(dataset, model, storage))
        there = _alive()  # a node that went meanwhile is no problem: nodes come and go
    known = [nodes[identity] for identity in nodes if identity in there]
    return known, [problem for identity in problems if identity in there for problem in problems[identity]]


def _alive() -> dict[str, Node]:
    """Returns the nodes that have a core to give, by Ray's identity."""
    import ray

    return {
        node["NodeID"]: Node(node["NodeManagerAddress"], node["Resources"]["CPU"], node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    }


def _ask_nodes(nodes: dict[str, Node], proof: Proof) -> dict[str, list[Problem]]:
    """Returns what is wrong with each node, by Ray's identity."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    word = Path(proof.storage) / f".{proof.word}"
    word.write_text(proof.word)
    problems: dict[str, list[Problem]] = {}
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(missing)
        asked = {
            identity: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(identity, soft=False)).remote(
                proof, identity
            )
            for identity in nodes
        }
        answered, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
        for identity, answer in asked.items():
            where = f"node {nodes[identity].name}"
            if answer not in answered:
                problems[identity] = [Problem(where, f"did not answer within {ANSWER_S:.0f} s.", "see `ray status`.")]
                continue
            try:
                problems[identity] = [Problem(where, what, fix) for what, fix in ray.get(answer)]
            except ray.exceptions.RayError as error:
                what = f"cannot run yolotune: {str(error).strip().splitlines()[-1]}"
                problems[identity] = [Problem(where, what, "install yolotune there as here.")]
            if not problems[identity] and not word.with_name(f".{proof.word}-{identity}").exists():
                what = f"what it writes to {proof.storage} does not arrive here."
                problems[identity] = [Problem(where, what, "give a --storage that all nodes share.")]
    finally:
        for file in word.parent.glob(f".{proof.word}*"):
            file.unlink(missing_ok=True)
    return problems


def _proof(dataset: Dataset | None, model: str | None, storage: Path) -> Proof:
    """Returns what the driver sees, for the nodes to compare."""
    files = [str(dataset.yaml)] if dataset else []
    files += [model] if model and Path(model).is_file() else []
    images = sample_images(dataset, IMAGES) if dataset else []
    return Proof(
        digests={name: _digest(Path(name)) for name in files},
        sizes={name: Path(name).stat().st_size for name in images},
        storage=str(storage),
        word=f"yolotune-{secrets.token_hex(8)}",
        versions=_versions(),
    )


def missing(proof: Proof, identity: str) -> list[tuple[str, str]]:
    """Returns what this node does not see, each with a fix; runs on the node.

    Args:
        proof: What there is to see.
        identity: Of the node, for its answer.
    """
    found = []
    share = "put it on a file system that all nodes see under the same path."
    for name, digest in proof.digests.items():
        if not Path(name).is_file():
            found.append((f"does not see {name}.", share))
        elif _digest(Path(name)) != digest:
            found.append((f"{name} has another content there.", share))
    gone = [name for name, size in proof.sizes.items() if not Path(name).is_file() or Path(name).stat().st_size != size]
    if gone:
        found.append((f"{len(gone)} of {len(proof.sizes)} images looked for are not there, such as {gone[0]}.", share))
    word = Path(proof.storage) / f".{proof.word}"
    try:
        if word.read_text() != proof.word:
            raise FileNotFoundError
        word.with_name(f".{proof.word}-{identity}").write_text(proof.word)
    except FileNotFoundError:
        found.append((f"does not see the storage {proof.storage}.", "give a --storage that all nodes share."))
    except OSError as error:
        found.append((f"cannot write to {proof.storage}: {error.strerror}.", "give it write access there."))
    here = _versions()
    for name, version in proof.versions.items():
        if here[name] != version:
            found.append((f"has {name} {here[name] or 'not installed'}, the driver {version}.", "install the same."))
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"Python": platform.python_version()}
    for name in SAME:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions
