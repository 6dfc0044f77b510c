"""How many trials train at the same time, measured where `--concurrent auto` asks for it.

1, 2, 4, ... processes train the default point at once, on a part of the data, with the largest batch of the space, and
each with the share of cores and cards that a trial would get. Kept is the number that trains most images a second; more
trials at once have to be worth it (`GAIN`), for a searcher learns more from trials that come one after another.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from yolotune.dataset import Dataset, build_index, write_resolved, write_train_subset
from yolotune.errors import fail
from yolotune.job import Job, Order, isolate
from yolotune.labels import list_images
from yolotune.plan import Listener, Plan, Resources
from yolotune.resources import forecast, share_out, suited
from yolotune.space import Choice, Point

#: Batches of an epoch that is only measured, and epochs; the first one warms up.
BATCHES, EPOCHS = 12, 4
#: Images of a batch where Ultralytics chooses it: its own default.
BATCH = 16
#: What twice as many trainings at once have to win.
GAIN = 1.1
#: Share of a card's memory, and of the machine's, that trainings may fill.
FILLED = 0.9
#: Bytes of a card that a process takes beside its tensors.
CONTEXT = 600_000_000
#: Seconds that trainings have for their epochs.
SECONDS = 600.0


@dataclass(frozen=True)
class Measured:
    """What so many trainings at once came to.

    Attributes:
        at_once: Trainings.
        rate: Training images a second, all together.
        memory: Bytes of the largest one: of the card where there is one, of the machine otherwise.
        room: Bytes that there are for all of them, on one card or on the machine.
    """

    at_once: int
    rate: float
    memory: int
    room: int


def settled(plan: Plan, listener: Listener) -> Plan:
    """Returns a plan whose number of trials at a time is known, measured if it was not.

    Args:
        plan: A checked study.
        listener: Is told that this takes a moment.

    Raises:
        UserError: Not even one training at a time went well.
        KeyboardInterrupt: Ctrl-C or SIGTERM; no training is left.
    """
    if plan.study.concurrent != "auto":
        return plan
    listener.note("Measuring how many trials to train at a time; --concurrent 1 would begin at once.")
    began = time.monotonic()
    with _terminated_as_by_ctrl_c(), tempfile.TemporaryDirectory(prefix="yolotune-measure-") as place:
        try:
            found = _measure(plan, Path(place))
        except KeyboardInterrupt:
            listener.note("Interrupted while measuring; nothing was begun.")
            raise
    best = chosen(found)
    rates = ", ".join(f"{one.at_once}: {one.rate:.0f}" for one in found)
    note = f"concurrent: auto chose {best}; images a second by trials at a time: {rates}"
    note += f" (measured in {time.monotonic() - began:.0f} s)"
    study = plan.study.model_copy(update={"concurrent": best})
    share = _share(plan, best)
    disk = forecast(study, plan.model, plan.wandb)
    return replace(plan, study=study, resources=share, disk=disk, notes=[*plan.notes, note])


@contextmanager
def _terminated_as_by_ctrl_c() -> Iterator[None]:
    """Lets SIGTERM, too, end what was started; outside the main thread nothing can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def chosen(found: list[Measured]) -> int:
    """Returns the number of trainings at once that is worth it, of rising numbers that were measured."""
    best = found[0]
    for one in found[1:]:
        if one.rate >= GAIN * best.rate:
            best = one
    return best.at_once


def _measure(plan: Plan, folder: Path) -> list[Measured]:
    """Measures rising numbers of trainings until they do not fit, or are not faster any more."""
    found: list[Measured] = []
    at_once = 1
    while at_once <= min(most(plan.resources), plan.study.num_samples):
        share = _share(plan, at_once)
        per_card = at_once / max(1, round(share.gpus)) if share.gpus else at_once
        if found and per_card * found[0].memory > FILLED * found[0].room:
            break
        one = _train_at_once(plan, share, at_once, folder)
        if one is None:
            break
        found.append(one)
        if len(found) > 1 and one.rate < GAIN * found[-2].rate:
            break
        at_once *= 2
    if not found:
        said = (folder / "1-0.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise fail("concurrent", f"a first training failed: {said[-1] if said else 'no word'}", "give a number.")
    return found


def most(resources: Resources) -> int:
    """Returns how many trainings at once are considered: one a core, and 16 a card."""
    return min(resources.cpus, 16 * max(1, int(resources.gpus))) if resources.gpus else resources.cpus


def _share(plan: Plan, at_once: int) -> Resources:
    study = plan.study.model_copy(update={"concurrent": at_once})
    return suited(share_out(study), study, plan.model)


def _train_at_once(plan: Plan, share: Resources, at_once: int, folder: Path) -> Measured | None:
    """Trains in so many processes at once; None where one of them failed."""
    point = _largest(plan)
    place = folder / str(at_once)
    batch = point.get("batch", plan.study.fixed.get("batch"))
    dataset = _part(plan.dataset, BATCHES * (batch if isinstance(batch, int) and batch > 0 else BATCH), place)
    job = Job(
        model=plan.model,
        data=write_resolved(dataset, place),
        epochs=plan.study.epochs + EPOCHS,
        fixed={**plan.study.fixed, "plots": False, "close_mosaic": 0},
        metric=plan.study.metric,
        mode=plan.study.direction,
        indexes={split: build_index(dataset, split, place) for split in ("train", "val")},
        train_subset=write_train_subset(dataset, place),
        device="0" if share.gpus else "cpu",
        threads=share.threads,
        workers=share.workers,
    )
    cards = _cards(share)
    processes = []
    for number in range(at_once):
        request = folder / f"{at_once}-{number}.json"
        request.write_text(json.dumps({"job": _words(job), "point": point, "folder": str(place / str(number))}))
        environment = {**os.environ, **({"CUDA_VISIBLE_DEVICES": cards[number % len(cards)]} if cards else {})}
        with request.with_suffix(".log").open("w") as log:
            command = [sys.executable, "-m", "yolotune.concurrency", str(request)]
            processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    try:
        deadline = time.monotonic() + SECONDS
        codes = [process.wait(max(1.0, deadline - time.monotonic())) for process in processes]
    except subprocess.TimeoutExpired:
        return None
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if any(codes):
        return None
    answers = [json.loads((folder / f"{at_once}-{number}.answer").read_text()) for number in range(at_once)]
    rate = sum(dataset.images["train"] * (EPOCHS - 1) / answer["seconds"] for answer in answers)
    return Measured(at_once, rate, max(answer["memory"] for answer in answers), answers[0]["room"])


def _largest(plan: Plan) -> Point:
    """Returns the default point, with the largest batch that the space has."""
    point = dict(plan.points[0])
    domain = plan.study.domains.get("batch")
    if isinstance(domain, Choice):
        point["batch"] = max((option for option in domain.options if isinstance(option, int)), default=point["batch"])
    return point


def _part(dataset: Dataset, count: int, folder: Path) -> Dataset:
    """Returns so many of a dataset's training images, and as large a part of its validation images."""
    folder.mkdir()
    share, entries = min(1.0, count / dataset.images["train"]), {}
    for split in ("train", "val"):
        images = [image for image in list_images(dataset.splits[split]) if image not in dataset.ignored[split]]
        chosen = images[:: max(1, round(1 / share))]
        written = folder / f"{split}-part.txt"
        written.write_text("".join(f"{image}\n" for image in chosen), encoding="utf-8")
        entries[split] = (str(written), len(chosen))
    counts = {split: count for split, (_, count) in entries.items()}
    return replace(dataset, train=(entries["train"][0],), val=(entries["val"][0],), test=(), images=counts)


def _cards(share: Resources) -> list[str]:
    if not share.gpus:
        return []
    return (share.visible or ",".join(map(str, range(max(1, round(share.gpus)))))).split(",")


def _words(job: Job) -> dict[str, Any]:
    """Returns a job as JSON can hold it."""
    return json.loads(json.dumps(dataclasses.asdict(job), default=str))  # type: ignore[no-any-return]


def _job(words: Mapping[str, Any]) -> Job:
    paths = {
        "data": Path(words["data"]),
        "indexes": {split: Path(path) for split, path in words["indexes"].items()},
        "train_subset": Path(words["train_subset"]),
    }
    return Job(**{**words, **paths})


def train(request: Path) -> None:
    """Trains what a request says and writes how long it took beside it: one of the processes that are measured."""
    isolate()
    import torch

    from yolotune.trainer import TrialTrainer

    asked = json.loads(request.read_text())
    job, ended, asker = _job(asked["job"]), [], os.getppid()

    def told(row: dict[str, Any], last: bool) -> Order:
        ended.append(time.monotonic())
        return Order.LEAVE if len(ended) == EPOCHS or os.getppid() != asker else Order.GO  # whoever asked is gone

    TrialTrainer(job, asked["point"], Path(asked["folder"]), told).train()
    if job.device == "cpu":
        memory, room = psutil.Process().memory_info().rss, psutil.virtual_memory().total
    else:
        memory, room = torch.cuda.max_memory_reserved() + CONTEXT, torch.cuda.mem_get_info()[1]
    answer = {"seconds": ended[-1] - ended[0], "memory": memory, "room": room}
    request.with_suffix(".answer").write_text(json.dumps(answer))


if __name__ == "__main__":
    train(Path(sys.argv[1]))
