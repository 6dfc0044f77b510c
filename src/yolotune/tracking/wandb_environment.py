"""W&B's settings: what the user's environment says, what a run is lent, and whether there is an API key."""

from __future__ import annotations

import base64
import configparser
import netrc
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_lock = threading.Lock()
_users = 0
#: What stood in the environment before it was lent, by variable; None where nothing did.
_before: dict[str, str | None] = {}


@contextmanager
def lent_environment(folder: Path) -> Iterator[None]:
    """Lends wandb the places that only environment variables can name, unless the user named them.

    Artifacts are staged in the study's folder, where a later `wandb sync` finds them. wandb's reports of its own errors
    are off: they go to the server from offline runs too, and a server that hangs keeps the process from ending. wandb
    also leaves the address of its service process behind; a trial that inherited it would depend on the driver's. The
    runs of a process share the environment, so the last one to leave restores it.

    Args:
        folder: Where wandb keeps the study's runs.
    """
    _enter(folder)
    try:
        yield
    finally:
        _leave()


def _lent_by(folder: Path) -> dict[str, str]:
    places = {"WANDB_DATA_DIR": str(folder / "data"), "WANDB_CACHE_DIR": str(folder / "cache")}
    return {**places, "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


def _enter(folder: Path) -> None:
    global _users
    with _lock:
        if not _users:
            lent = {name: os.environ.get(name, value) for name, value in _lent_by(folder).items()}
            _before.update({name: os.environ.get(name) for name in (*lent, "WANDB_SERVICE")})
            os.environ.update(lent)
            os.environ.pop("WANDB_SERVICE", None)
        _users += 1


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users:
            return
        for name, value in _before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


DEFAULT_URL = "https://api.wandb.ai"
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")


def base_url() -> str:
    """Returns the address of the W&B server."""
    return (os.environ.get("WANDB_BASE_URL") or setting("base_url") or DEFAULT_URL).rstrip("/")


def api_key() -> str | None:
    """Returns the key for that server: of the environment, netrc or the settings file."""
    return os.environ.get("WANDB_API_KEY") or _netrc_key(urlsplit(base_url()).netloc) or setting("api_key")


def setting(name: str) -> str | None:
    """Returns a value of W&B's settings files, which `wandb login` and `wandb offline` write; the local one wins."""
    parser = configparser.ConfigParser(interpolation=None)
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    try:
        parser.read([folder / "settings", Path("wandb") / "settings"], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return None
    return parser.get("default", name, fallback=None)


def basic_auth(key: str) -> str:
    """Returns a key as an HTTP header has it."""
    return base64.b64encode(f"api:{key}".encode()).decode()


def redact(text: object) -> str:
    """Returns a text without the API key, plain or as a header has it, and without passwords in addresses."""
    clean = str(text)
    key = api_key()
    if key:
        clean = clean.replace(key, "***").replace(basic_auth(key), "***")
    return _PASSWORD_IN_URL.sub("***@", clean)


def redacted(value: Any) -> Any:
    """Returns the same value with every text in it redacted."""
    if isinstance(value, dict):
        return {redact(key): redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    return redact(value) if isinstance(value, (str, Path)) else value


def _netrc_key(host: str) -> str | None:
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None
