"""What a training takes of its machine, epoch by epoch: cores, memory, the card."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import psutil

#: Bytes of a card that a process holds beside what PyTorch reserves: CUDA's context and its modules. Between 0.4 and
#: 0.6 GB on the cards of the last years.
CUDA_CONTEXT = 600_000_000
#: Epochs of a training in which the load of its card is sampled; each sample is a process of its own.
SAMPLED_EPOCHS = 3
#: Seconds between two samples; `nvidia-smi` gives the mean over about one.
SAMPLE_S = 1.0


@dataclass(frozen=True)
class Card:
    """What a training takes of its card, and what is left of it.

    Attributes:
        taken: Bytes at the peak, of this process alone.
        free: Bytes that no process holds.
        total: Bytes of the card.
        busy: Share of the time in which the card computed something, by all processes, 0 to 1; None if unknown.
    """

    taken: int
    free: int
    total: int
    busy: float | None = None


@dataclass(frozen=True)
class Usage:
    """What an epoch of a training took.

    Attributes:
        seconds: Its length.
        steady: Whether epochs from now on are as long: the first one of a process pays for what is made only once.
        cores: CPU cores that were busy with it, those of its data loaders included.
        memory: Resident bytes of the process and its data loaders.
        available: Bytes of the machine's memory that a further process could have.
        card: None without a GPU.
    """

    seconds: float
    steady: bool
    cores: float
    memory: int
    available: int
    card: Card | None = None


class Meter:
    """Measures the epochs of one training; begins with the first."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._epochs = 0
        self._sampler: _LoadSampler | None = None
        self._since, (self._cpu, _) = time.monotonic(), self._taken()

    def epoch(self, seconds: float) -> Usage:
        """Returns what the epoch took that has ended just now.

        Args:
            seconds: Its length.
        """
        now, (cpu, memory) = time.monotonic(), self._taken()
        self._epochs += 1
        usage = Usage(
            seconds=seconds,
            steady=self._epochs > 1,
            cores=max(0.0, cpu - self._cpu) / max(now - self._since, 1e-9),
            memory=memory,
            available=psutil.virtual_memory().available,
            card=self._card(),
        )
        self._since, self._cpu = now, cpu
        return usage

    def close(self) -> None:
        """Ends the sampling."""
        if self._sampler is not None:
            self._sampler.close()

    def _taken(self) -> tuple[float, int]:
        """Returns the CPU seconds so far and the resident bytes of the process and its children.

        What draws curves (`drawing.py`) has a lower priority: it takes no core that a training wants.
        """
        seconds, resident, priority = 0.0, 0, self._process.nice()
        for process in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # a data loader may just have ended
                times = process.cpu_times()
                seconds += times.user + times.system if process.nice() <= priority else 0.0
                resident += process.memory_info().rss
        return seconds, resident

    def _card(self) -> Card | None:
        torch = sys.modules.get("torch")  # a process that has not imported it holds nothing on a card
        if torch is None or not torch.cuda.is_initialized():
            return None
        if self._sampler is None:
            self._sampler = _LoadSampler(torch.cuda.get_device_properties(torch.cuda.current_device()))
        free, total = torch.cuda.mem_get_info()
        busy = self._sampler.mean() if self._epochs > 1 else None
        if self._epochs >= SAMPLED_EPOCHS:
            self._sampler.close()
        return Card(torch.cuda.max_memory_reserved() + CUDA_CONTEXT, free, total, busy)


class _LoadSampler:
    """Asks `nvidia-smi` each second how busy a card is; where there is none, nothing is known."""

    def __init__(self, properties: Any) -> None:
        self._samples: list[float] = []
        self._closed = threading.Event()
        program, uuid = shutil.which("nvidia-smi"), getattr(properties, "uuid", None)
        if program and uuid:
            query = [program, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--id=GPU-{uuid}"]
            threading.Thread(target=self._sample, args=(query,), name="card-load", daemon=True).start()

    def mean(self) -> float | None:
        """Returns the mean since the last call, 0 to 1; None without a sample."""
        samples, self._samples = self._samples, []
        return statistics.fmean(samples) if samples else None

    def close(self) -> None:
        self._closed.set()

    def _sample(self, query: list[str]) -> None:
        while not self._closed.wait(SAMPLE_S):
            try:
                said = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
                self._samples.append(float(said.strip()) / 100)
            except (OSError, ValueError, subprocess.SubprocessError):
                return
