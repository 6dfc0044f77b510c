"""Where W&B's server and its key are found, as wandb itself would find them, and how the key is kept out of texts.

Nothing here imports wandb.
"""

from __future__ import annotations

import base64
import configparser
import netrc
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
