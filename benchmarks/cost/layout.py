"""How long a step of a training takes with channels last in memory, beside Ultralytics' own layout, on this CPU.

    python -m benchmarks.cost.layout --model weights.pt

Both train in turn, forward, loss, backward and SGD, on made images; medians as Markdown.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import Any

from yolotune.config.isolation import isolate

#: Pixels and images of a batch.
SHAPES = ((96, 16), (96, 8), (160, 16), (320, 8), (640, 4))
OBJECTS = 4


def made_batch(imgsz: int, images: int) -> dict[str, Any]:
    """Returns a batch of noise with `OBJECTS` objects on each image."""
    import torch

    count = images * OBJECTS
    return {
        "img": torch.rand(images, 3, imgsz, imgsz),
        "batch_idx": torch.arange(images).repeat_interleave(OBJECTS).float(),
        "cls": torch.zeros(count, 1),
        "bboxes": torch.rand(count, 4) * 0.3 + 0.3,
        "masks": (torch.rand(images, imgsz // 4, imgsz // 4) * OBJECTS).byte().float(),
    }


def trained_model(weights: str) -> Any:
    """Returns the model of a file, all of it to be trained."""
    from ultralytics import YOLO
    from ultralytics.cfg import get_cfg

    model = YOLO(weights, task="segment").model.float().train()
    model.args = get_cfg()
    for parameter in model.parameters():
        parameter.requires_grad = True
    return model


def step(model: Any, optimizer: Any, batch: dict[str, Any]) -> float:
    """Trains a batch, and returns the seconds it took."""
    began = time.perf_counter()
    model(dict(batch))[0].sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolo11n-seg.yaml")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    isolate()
    import torch

    model = trained_model(options.model)
    print("| threads | px | batch | Ultralytics', ms | channels last, ms | ratio |\n|---|---|---|---:|---:|---:|")
    for threads in options.threads:
        torch.set_num_threads(threads)
        for imgsz, images in SHAPES:
            formats = (torch.contiguous_format, torch.channels_last)
            models = [copy.deepcopy(model).to(memory_format=one) for one in formats]
            optimizers = [torch.optim.SGD(one.parameters(), 1e-6) for one in models]
            batch = made_batch(imgsz, images)
            seconds: tuple[list[float], list[float]] = ([], [])
            for _ in range(options.rounds + 2):
                for one, optimizer, taken in zip(models, optimizers, seconds, strict=True):
                    taken.append(step(one, optimizer, batch))
            own, last = (1000 * statistics.median(taken[2:]) for taken in seconds)
            print(f"| {threads} | {imgsz} | {images} | {own:.0f} | {last:.0f} | {last / own:.2f} |", flush=True)


if __name__ == "__main__":
    main()
