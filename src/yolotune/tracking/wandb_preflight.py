"""Whether W&B can be reached, asked once and answered in bounded time.

Nothing here imports wandb: its own check of a key retries for minutes.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from yolotune.tracking.wandb_environment import api_key, base_url, basic_auth, redact, setting

#: Seconds that the server has for its answer, whatever it does.
ANSWER_S = 5.0
#: W&B's older words for its modes.
_MODES = {"dryrun": "offline", "run": "online", "shared": "online"}


def preflight(wanted: str = "auto") -> tuple[str, str | None]:
    """Decides how W&B is used in a study.

    Args:
        wanted: `online`, `offline`, `disabled`, or `auto`: what WANDB_MODE or W&B's settings file says, else online.

    Returns:
        `online`, `offline` or `disabled`, and one sentence of warning where W&B was wanted and cannot be reached.
    """
    mode = wanted
    if wanted == "auto":
        said = os.environ.get("WANDB_MODE") or setting("mode") or "online"
        mode = _MODES.get(said, said)
    if mode in ("offline", "disabled"):
        return mode, None
    problem = unreachable()
    return ("offline", f"W&B: {problem}; the runs are kept offline.") if problem else ("online", None)


def unreachable() -> str | None:
    """Returns why runs cannot be uploaded now, in words without any secret; None if they can.

    The question is asked in a thread of its own: a socket's timeout starts again with every byte that trickles in, and
    the lookup of a name has none.
    """
    url, seconds = base_url(), ANSWER_S
    host = urlsplit(url).netloc.rpartition("@")[2]
    key = api_key()
    if not key:
        return f"no API key for {host} (WANDB_API_KEY or ~/.netrc)"
    answer: list[str | None] = [f"{host} did not answer within {seconds:.0f} s"]

    def ask() -> None:
        said = _ask(url, host, key, seconds)
        answer.append(redact(said) if said else None)

    thread = threading.Thread(target=ask, name="wandb-preflight", daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[-1]


def _ask(url: str, host: str, key: str, seconds: float) -> str | None:
    """Asks the server whom the key belongs to, and returns what is wrong with the answer."""
    question = urllib.request.Request(
        f"{url}/graphql",
        data=json.dumps({"query": "query Viewer { viewer { id entity } }"}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Basic {basic_auth(key)}"},
    )
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if os.environ.get("WANDB_INSECURE_DISABLE_SSL", "").lower() in ("1", "true", "t", "yes", "y", "on"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
    try:
        with urllib.request.build_opener(*handlers).open(question, timeout=seconds) as response:
            answer = json.loads(response.read(2**20))
    except urllib.error.HTTPError as error:
        return f"{host} refused the API key" if error.code in (401, 403) else f"{host} answered HTTP {error.code}"
    except TimeoutError:
        return f"{host} did not answer within {seconds:.0f} s"
    except OSError as error:
        return f"{host} cannot be reached ({getattr(error, 'reason', error)})"
    except (ValueError, HTTPException):
        return f"{host} answered something that is not W&B"
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        return f"{host} answered something that is not W&B"
    return None if data.get("viewer") else f"{host} refused the API key"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: the key would be handed to wherever the server points."""

    def redirect_request(self, *_: Any) -> None:
        return None
