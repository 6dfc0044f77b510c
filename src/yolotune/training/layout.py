"""The memory layout of a model on a CPU. Importing this module imports torch and Ultralytics."""

from __future__ import annotations

import platform
from typing import Any

import torch
from ultralytics.engine.trainer import BaseTrainer


class ChannelsLast(BaseTrainer):
    """Mixin of an Ultralytics trainer: channels come last in memory on an x86 CPU, too.

    Ultralytics trains so on CUDA, and validates best.pt so on these CPUs (`nn/autobackend.py`). With YOLO11n-seg a step
    of a training takes 8 to 22 % less time, at 96 to 640 px, with one thread and with two
    (`benchmarks/cost/layout.py`). Sums are taken in another order, so numbers differ from Ultralytics' by rounding.
    `channels_last=False` keeps its layout.
    """

    model: Any

    def set_model_attributes(self) -> None:
        """Called when the model is on its device, before its EMA is made."""
        super().set_model_attributes()
        if self.args.channels_last is not False and self.device.type == "cpu" and faster_on_this_cpu():
            self.model = self.model.to(memory_format=torch.channels_last)


def faster_on_this_cpu() -> bool:
    """Whether this CPU has oneDNN's convolutions for x86, the condition of `AutoBackend`."""
    onednn: Any = torch.backends.mkldnn
    return platform.machine() in ("x86_64", "AMD64") and bool(onednn.is_available() and onednn.enabled)
