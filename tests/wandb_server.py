"""A W&B server for tests, as a process of its own on loopback, that can be told to misbehave.

    python wandb_server.py ok

It prints its port and serves until it is killed. The first word is how it behaves: `ok`, `401`, `500`, `hang` (accepts
and never answers), `garbage`, `stranger` (a good answer that knows no such user). `GET /behave/hang` changes that while
it runs; `GET /seen` tells what it got: paths, names of GraphQL operations, and the history rows by run.

In `ok` it speaks as much of W&B's protocol as the client needs to open a run, stream its history and log artifacts:
artifacts are said to be there already, so that no file is ever uploaded. It proves nothing about W&B's own server.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BEHAVIOURS = ("ok", "401", "500", "hang", "garbage", "stranger")


class Seen:
    """What the server got, and how it behaves."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.requests: list[str] = []
        self.operations: list[str] = []
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.exits: dict[str, int] = {}
        self.lock = threading.Lock()

    def as_json(self) -> dict[str, Any]:
        with self.lock:
            return {
                "requests": self.requests,
                "operations": self.operations,
                "history": self.history,
                "exits": self.exits,
            }


class Handler(BaseHTTPRequestHandler):
    seen: Seen

    def do_GET(self) -> None:
        if self.path.startswith("/behave/"):
            self.seen.behaviour = self.path.removeprefix("/behave/")
            self._answer(200, {})
        elif self.path == "/seen":
            self._answer(200, self.seen.as_json())
        else:
            self.seen.requests.append(self.path)
            self._misbehave_or({})

    def do_POST(self) -> None:
        self.seen.requests.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/graphql":
            asked = json.loads(body)
            with self.seen.lock:
                self.seen.operations.append(str(asked.get("operationName") or asked["query"].strip()[:40]))
            self._misbehave_or({"data": graphql(asked)})
        elif self.path.endswith("/file_stream"):
            if self.seen.behaviour == "ok":
                self._keep(self.path.split("/")[-2], json.loads(body))
            self._misbehave_or({})
        else:
            self._misbehave_or({})

    do_PUT = do_POST

    def _keep(self, run: str, sent: dict[str, Any]) -> None:
        with self.seen.lock:
            for line in (sent.get("files") or {}).get("wandb-history.jsonl", {}).get("content", []):
                self.seen.history.setdefault(run, []).append(json.loads(line))
            if sent.get("complete"):
                self.seen.exits[run] = int(sent.get("exitcode") or 0)

    def _misbehave_or(self, answer: dict[str, Any]) -> None:
        match self.seen.behaviour:
            case "401":
                self._answer(401, {"errors": [{"message": "user is not logged in", "code": 401}]})
            case "500":
                self._answer(500, {"errors": [{"message": "internal error"}]})
            case "hang":
                while self.seen.behaviour == "hang":
                    time.sleep(0.1)
            case "garbage":
                self._send(200, b"\x00\xff<html>it works!</html>", "text/html")
            case "stranger":
                self._answer(200, {"data": {"viewer": None}})
            case _:
                self._answer(200, answer)

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        self._send(status, json.dumps(answer).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: what it got is asked for."""


def graphql(asked: dict[str, Any]) -> dict[str, Any]:
    """Returns the `data` of an answer to one of the questions that wandb-core asks."""
    given = asked.get("variables") or {}
    project = {"name": given.get("project"), "entity": {"name": "someone", "id": "e"}}
    match asked.get("operationName"):
        case "UpsertBucket":
            run = given.get("name") or given.get("id")
            bucket = {"id": "b", "name": run, "displayName": run, "project": project, "historyLineCount": 0}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        case "RunResumeStatus":
            return {"model": {"id": "m", "name": given.get("project"), "entity": project["entity"], "bucket": None}}
        case "CreateRunFiles":
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []}}
        case "CreateArtifact":
            sequence = {"id": "s", "latestArtifact": None}
            artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": sequence}
            return {"createArtifact": {"artifact": artifact}}
        case _:
            viewer = {"id": "v", "entity": "someone", "username": "someone", "flags": "{}"}
            return {"viewer": viewer, "project": None, "artifact": None}


class Server(ThreadingHTTPServer):
    daemon_threads = True


if __name__ == "__main__":
    Handler.seen = Seen(sys.argv[1])
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
