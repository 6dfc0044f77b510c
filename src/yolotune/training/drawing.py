"""Draws the pictures of trainings in a process of its own, so that the next training need not wait.

Pyplot is global to a process and holds its one thread, so what is drawn beside a training is drawn in another process.
It has low priority and no GPU, and is started with the first picture; it then stays, since its imports take a second.
`python -m yolotune.training.drawing` is that process: it takes requests from its standard input and answers each with
None or a traceback. It ends when its input does, so it never outlives the training process.
"""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

#: Dots per inch of a drawn figure. At Ultralytics' own 200 and 250 drawing takes nearly twice as long.
DPI = 120
#: A tight layout measures each label of each chart, twice: half the time of a figure of more charts than these.
FEW_CHARTS = 4
#: Added to the niceness of the training: busy cores belong to trainings first.
NICENESS = 5


class Curves:
    """The pictures of one training; they may still be drawn when it has ended."""

    def __init__(self) -> None:
        self._asked: list[Future[None]] = []

    def draw(self, figure: str, **data: Any) -> None:
        """Asks for a picture, and returns at once.

        Args:
            figure: A function of `figures.py`.
            data: Its arguments; they must not change any more.
        """
        self._asked.append(drawing_process().submit(figure, data))

    def wait(self) -> None:
        """Waits until all is drawn.

        Raises:
            DrawingError: Something could not be drawn; with the traceback. The rest is there.
        """
        failed = [str(error) for error in (one.exception() for one in self._asked) if error is not None]
        self._asked.clear()
        if failed:
            raise DrawingError("\n".join(failed))


class DrawingError(Exception):
    """A picture could not be drawn."""


class DrawingProcess:
    """The process that draws for this one, one picture after another; started when it is needed.

    Attributes:
        running: The process; None before the first picture, and after it has died.
    """

    def __init__(self) -> None:
        self.running: subprocess.Popen[bytes] | None = None
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="drawing")

    def submit(self, figure: str, data: Mapping[str, Any]) -> Future[None]:
        """Asks for a picture; the result is there once it is drawn, or could not be."""
        return self._asking.submit(self._draw, figure, data)

    def _draw(self, figure: str, data: Mapping[str, Any]) -> None:
        if self.running is None:
            self.running = _start()
        process = self.running
        assert process.stdin is not None and process.stdout is not None
        try:
            pickle.dump((figure, data), process.stdin)
            process.stdin.flush()
            error = pickle.load(process.stdout)
        except (OSError, EOFError):
            self.running = None
            process.kill()
            raise DrawingError(f"{figure}: the drawing process died, exit code {process.wait()}.") from None
        if error is not None:
            raise DrawingError(f"{figure}: {error}")


@functools.cache
def drawing_process() -> DrawingProcess:
    """Returns the one that draws for this process."""
    return DrawingProcess()


def _start() -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(filter(None, sys.path))  # this process may have got its own otherwise than by PYTHONPATH
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-m", "yolotune.training.drawing"]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=nothing)


def main() -> None:
    """Draws what is asked for until nobody can ask any more."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICENESS)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ultralytics prints is no answer
    while True:
        try:
            figure, data = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(_drawn(figure, data), answers)
        answers.flush()


def _drawn(figure: str, data: Mapping[str, Any]) -> str | None:
    """Draws a picture and returns None, or why it could not be drawn."""
    try:
        _lower_resolution()
        from yolotune.training import figures

        getattr(figures, figure)(**data)
    except Exception:  # whatever it is, the trial ends in good order and keeps it
        return traceback.format_exc()
    return None


@functools.cache
def _lower_resolution() -> None:
    """Makes pyplot save at `DPI`, whatever it is told."""
    from matplotlib.figure import Figure

    save = Figure.savefig

    @functools.wraps(save)
    def save_smaller(self: Figure, *args: Any, **kwargs: Any) -> None:
        if len(self.axes) > FEW_CHARTS:
            self.set_layout_engine("none")
            self.subplots_adjust(left=0.03, right=0.99, bottom=0.06, top=0.94, wspace=0.35, hspace=0.25)
        save(self, *args, **{**kwargs, "dpi": DPI})

    Figure.savefig = save_smaller  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
