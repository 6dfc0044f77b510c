"""One W&B run in a thread of its own, so that nothing W&B or its server does can hold or break a training.

Calls are queued and return at once; only `finish` waits, and not for ever. Every error is caught here and reported
once. An online run whose server is lost continues offline under the same id: `wandb sync` puts both parts together.
From then on all runs of the study start offline: a file in the study's W&B folder says so, and only its writer warns.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from yolotune.tracking.wandb_environment import lent_environment, redact
from yolotune.tracking.wandb_preflight import unreachable

LOGGER = logging.getLogger("yolotune.wandb")

#: Seconds that the server has to open a run; training does not wait for it.
INIT_S = 8.0
#: Seconds that wandb may upload after the last call.
UPLOAD_S = 40.0
#: Seconds after which a run is left to itself, whatever it does.
FINISH_S = 60.0
#: Seconds between two flushes of a run's file: what a SIGKILL loses. wandb's own is 15.
FLUSH_S = 1.0

#: In the study's W&B folder: why runs are kept offline since.
OUTAGE = "outage.txt"
#: In the folder of an online run, as long as it is not known to be uploaded.
UNSENT = "unsent"

Call = Callable[[Any], object]

#: Of this process, those that have not ended. The end of a trial's run overlaps with the next trial's.
_unfinished: set[RunThread] = set()
#: Held to open a run and to end wandb's service process, so that a run is never opened in a service that ends.
_service = threading.Lock()


class RunThread:
    """A W&B run that cannot fail; it opens at once.

    Args:
        mode: `online` or `offline`.
        folder: Where wandb keeps runs; its name is `wandb`.
        init: Further arguments of `wandb.init`.
    """

    def __init__(self, mode: str, folder: Path, init: Mapping[str, Any]) -> None:
        self._mode = mode
        self._folder = folder
        self._init = dict(init)
        self._calls: queue.SimpleQueue[tuple[str, Call] | None] = queue.SimpleQueue()
        self._closing: Call = _nothing
        self._exit_code = 0
        self._warned = False
        _unfinished.add(self)
        self._thread = threading.Thread(target=self._work, name=f"wandb-{self._init['id']}", daemon=True)
        self._thread.start()

    def do(self, what: str, call: Call) -> None:
        """Has `call(run)` called in its turn.

        Args:
            what: What it does, for the warning.
            call: Gets the `wandb.Run`.
        """
        self._calls.put((what, call))

    def finish(self, closing: Call, exit_code: int, seconds: float = FINISH_S) -> None:
        """Calls `closing(run)`, which may be called twice, ends the run and waits for that, for `seconds` at most."""
        self._closing, self._exit_code = closing, exit_code
        self._calls.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._lose(f"a run was not finished after {seconds:.0f} s")

    @property
    def connected(self) -> bool:
        """Whether the server takes part, as far as is known; asked in a call of this thread."""
        return self._mode == "online" and not self._lost

    # --- in the thread -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        run = self._open()
        while (called := self._calls.get()) is not None:
            if run is not None:
                self._try(*called, run)
        if run is not None:
            self._end(run)
        _unfinished.discard(self)

    def _open(self) -> Any:
        """Returns a new run: online if that was decided and still holds, else offline; None if there is none at all."""
        if self._mode == "online" and self._lost:
            self._mode = "offline"
        if self._mode == "online":
            try:
                return self._start("online")
            except Exception as error:
                self._lose(f"a run could not be opened ({error})")
                self._mode = "offline"
                self._try("giving up a run", self._end_service, None)
        try:
            return self._start("offline")
        except Exception as error:
            self._warn("opening a run", error)
            return None

    def _start(self, mode: Literal["online", "offline"]) -> Any:
        self._folder.mkdir(parents=True, exist_ok=True)
        with _service, lent_environment(self._folder):  # some of it is read on import
            import wandb

            settings = wandb.Settings(
                console="off",
                silent=True,
                init_timeout=INIT_S,
                finish_timeout=UPLOAD_S,
                finish_timeout_raises=True,
                x_transaction_log_flush_interval=FLUSH_S,
                x_disable_viewer=True,  # asks for the user's preferences, and waits
                use_dot_wandb=False,
            )
            run = wandb.init(
                **self._init,
                mode=mode,
                dir=str(self._folder.parent),  # wandb adds `wandb`
                resume="allow",
                reinit="create_new",  # not the process's `wandb.run`, which others would write into
                settings=settings,
            )
        if mode == "online":
            _marker(run).touch()
        return run

    def _end(self, run: Any) -> None:
        """Closes and finishes the run; what a lost server would have kept out of it goes into an offline one."""
        online = self._mode == "online"
        problem = unreachable() if online else None
        if problem:
            self._lose(problem)
        # wandb asks the server before it notes an artifact, and notes nothing without an answer
        closed = problem is None and self._try("closing a run", self._closing, run)
        finished = self._finish(run)
        if not online:
            return
        if not finished:
            self._lose("a run was not uploaded in time")
        elif closed:
            _marker(run).unlink(missing_ok=True)
        if not closed:
            self._mode = "offline"
            rest = self._open()
            if rest is not None:
                self._try("closing a run", self._closing, rest)
                self._finish(rest)

    def _finish(self, run: Any) -> bool:
        """Ends the run, and returns whether that was done in time."""
        finished = self._try("finishing a run", self._exit, run)
        self._try("ending wandb", self._end_service, None)
        return finished

    def _exit(self, run: Any) -> None:
        run.finish(exit_code=self._exit_code)

    def _end_service(self, _: Any) -> None:
        """Ends wandb's service process and waits for it, unless another run needs it.

        Only then is all of a run on the disk; `finish` returns earlier. The process also keeps a run that could not be
        opened, and silently drops what is logged to another one of the same id.
        """
        import wandb

        with _service:
            if wandb.run is None and _unfinished == {self}:
                wandb.teardown()

    def _try(self, what: str, call: Call, run: Any) -> bool:
        """Whether a call went well; if not, that is said, once for all calls."""
        try:
            with lent_environment(self._folder):
                call(run)
        except Exception as error:
            self._warn(what, error)
            return False
        return True

    @property
    def _lost(self) -> bool:
        return (self._folder / OUTAGE).exists()

    def _warn(self, what: str, error: Exception) -> None:
        level = logging.DEBUG if self._warned or self._lost else logging.WARNING
        self._warned = True
        LOGGER.log(level, "W&B: %s failed: %s", what, redact(f"{type(error).__name__}: {error}"))

    def _lose(self, reason: str) -> None:
        """Notes that the server is lost, for all runs of the study; the first one to notice says so."""
        sentence = f"W&B: {redact(reason).rstrip('. ')}; the runs are kept offline from here on."
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with open(self._folder / OUTAGE, "x", encoding="utf-8") as file:
                file.write(sentence + "\n")
        except OSError:
            return
        LOGGER.log(logging.DEBUG if self._warned else logging.WARNING, "%s", sentence)
        self._warned = True


def outage(folder: Path) -> str | None:
    """Returns the one warning about a server that was lost while the study ran; None if none was.

    Args:
        folder: Where wandb keeps the study's runs.
    """
    try:
        return (folder / OUTAGE).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _nothing(run: Any) -> None:
    """Closes nothing."""


def _marker(run: Any) -> Path:
    return Path(run.settings.sync_dir) / UNSENT
