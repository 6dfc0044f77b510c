"""optuna-dashboard on a study: an optional part, on this machine only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from yolotune.errors import UserError, fail
from yolotune.record.folder import holder, owned
from yolotune.record.study import StudyRecord, read_study
from yolotune.search.database import count, rebuild

HOST = "127.0.0.1"  # it asks nobody for a password


def serve(folder: Path, port: int, ready: Callable[[str], None]) -> None:
    """Shows a study's `study.db` in the browser until Ctrl-C; it is rebuilt from the record where it lacks trials.

    Args:
        folder: The study's folder.
        port: Where to listen; 0 for any free one.
        ready: Is told the address once it answers.

    Raises:
        UserError: No study there, optuna-dashboard is not installed, or the port is not to be had.
    """
    record = read_study(folder)
    app = _application()
    database = record.folder / "study.db"
    update(record, database)
    try:
        server = make_server(HOST, port, app(f"sqlite:///{database.resolve()}"), _Server, _Quiet)
    except (OSError, OverflowError) as error:
        raise fail(f"--port {port}", f"cannot be listened on: {error}.", "give another --port.") from error
    with server, contextlib.suppress(KeyboardInterrupt):
        ready(f"http://{HOST}:{server.server_port}/dashboard/")
        server.serve_forever()


def update(record: StudyRecord, database: Path) -> None:
    """Rebuilds `study.db` if it does not hold all ended trials; while a process works on the study, that one does.

    Raises:
        UserError: The study has just begun, so that there is nothing to be shown.
    """
    ended = sum(not trial.unfinished for trial in record.trials)
    if count(database) == ended:
        return
    try:
        with owned(record.folder):
            rebuild(record, database)
    except UserError:
        if holder(record.folder) is None:
            raise
        if count(database) is None:
            fix = "wait for the first; until then: yolotune status."
            raise fail(str(record.folder), "no trial has ended yet.", fix) from None


def _application() -> Any:
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        fix = 'pip install "yolotune[dashboard]"'
        raise fail("optuna-dashboard", f"cannot be imported: {error}.", fix) from error
    return wsgi


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *words: Any) -> None:
        """Says nothing of each request."""
