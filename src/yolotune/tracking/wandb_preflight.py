"""Whether W&B can be reached, asked once and answered in bounded time, and what must never be written down.

Nothing here imports wandb: its own check of a key retries for minutes, and a study without W&B should not load it.
"""

from __future__ import annotations

import base64
import configparser
import json
import netrc
import os
import re
import ssl
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: Seconds that the server has for its answer, whatever it does.
ANSWER_S = 5.0
DEFAULT_URL = "https://api.wandb.ai"
#: W&B's older words for its modes.
_MODES = {"dryrun": "offline", "run": "online", "shared": "online"}
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")


def preflight(mode: str = "auto") -> tuple[str, str | None]:
    """Decides how a study is tracked.

    Args:
        mode: `online`, `offline`, `disabled`, or `auto`: what WANDB_MODE or W&B's settings file says, else online.

    Returns:
        `online`, `offline` or `disabled`, and one sentence of warning where W&B was wanted and cannot be reached.
    """
    if mode == "auto":
        said = os.environ.get("WANDB_MODE") or _setting("mode") or "online"
        mode = _MODES.get(said, said)
    if mode in ("offline", "disabled"):
        return mode, None
    problem = unreachable()
    return ("offline", f"W&B: {problem}; the runs are kept offline.") if problem else ("online", None)


def unreachable(seconds: float = ANSWER_S) -> str | None:
    """Returns why runs cannot be uploaded now, in words without any secret; None if they can.

    The question is asked in a thread of its own: a socket's timeout starts again with every byte that trickles in, and
    the lookup of a name has none.
    """
    url = base_url()
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
        headers={"Content-Type": "application/json", "Authorization": f"Basic {_basic(key)}"},
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
    """Follows nobody: the key would be handed to wherever the server points."""

    def redirect_request(self, *_: Any) -> None:
        return None


def base_url() -> str:
    """Returns the address of the W&B server, as wandb itself would find it."""
    return (os.environ.get("WANDB_BASE_URL") or _setting("base_url") or DEFAULT_URL).rstrip("/")


def api_key() -> str | None:
    """Returns the key for that server from where wandb looks: environment, netrc, settings file."""
    return os.environ.get("WANDB_API_KEY") or _netrc_key(urlsplit(base_url()).netloc) or _setting("api_key")


def _netrc_key(host: str) -> str | None:
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None


def _setting(name: str) -> str | None:
    """Returns a value of W&B's settings files, which `wandb login` and `wandb offline` write; the local one wins."""
    parser = configparser.ConfigParser(interpolation=None)
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    try:
        parser.read([folder / "settings", Path("wandb") / "settings"], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return None
    return parser.get("default", name, fallback=None)


def _basic(key: str) -> str:
    return base64.b64encode(f"api:{key}".encode()).decode()


def redact(text: object) -> str:
    """Returns a text without the API key, plain or as it stands in a header, and without passwords in addresses."""
    clean = str(text)
    key = api_key()
    if key:
        clean = clean.replace(key, "***").replace(_basic(key), "***")
    return _PASSWORD_IN_URL.sub("***@", clean)


def redacted(value: Any) -> Any:
    """Returns the same value with every text in it redacted."""
    if isinstance(value, dict):
        return {redact(key): redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    return redact(value) if isinstance(value, (str, Path)) else value
