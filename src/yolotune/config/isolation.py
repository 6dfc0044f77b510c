"""Keeps Ultralytics to itself: no network, no tracker of its own, no change to the user's settings.

Ultralytics reads a settings file of the user's and switches on whatever tracker it finds installed. `isolate` gives it
a private settings folder instead. It has to be called before Ultralytics is imported.
"""

from __future__ import annotations

import atexit
import json
import os
import platform
import shutil
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path

#: Ultralytics' integrations (`ultralytics/utils/__init__.py: SettingsManager`); none may act inside a trial.
INTEGRATIONS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "sync")
#: Version of Ultralytics' settings file.
SETTINGS_VERSION = "0.0.8"
#: Names the private folder to the processes that this one starts, beside `YOLO_CONFIG_DIR`, which a user may set.
OURS = "YOLOTUNE_PRIVATE_FOLDER"


def isolate() -> Path:
    """Prepares this process for importing Ultralytics, and returns its private settings folder.

    No network, no installing, no code from pickles, no integration. Of the user's settings only the folders
    (`datasets_dir`, `weights_dir`) are taken over; their file is never written. The folder is new, has a name that
    nobody can guess, and is shared by all processes that this one starts. It goes when this process ends.
    """
    os.environ["YOLO_OFFLINE"] = "1"
    os.environ["YOLO_AUTOINSTALL"] = "0"
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"
    os.environ.setdefault("YOLO_VERBOSE", "0")
    # OpenMP threads that wait spin by default; with more threads than free cores that made epochs 40 times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = os.environ.get("YOLO_CONFIG_DIR")
    if given and given == os.environ.get(OURS) and _is_private(Path(given)):
        return Path(given) / "Ultralytics"  # of this process, or of the one that has started it
    user = user_settings_folder()
    private = _new_private_folder()
    folder = private / "Ultralytics"
    folder.mkdir(mode=0o700)
    _write_settings(folder / "settings.json", user / "settings.json")
    _provide_font(folder / "Arial.ttf", user / "Arial.ttf")
    os.environ["YOLO_CONFIG_DIR"] = os.environ[OURS] = str(private)
    return folder


def _new_private_folder() -> Path:
    """Returns a new folder that only this user can enter; it goes when this process ends."""
    folder, maker = Path(tempfile.mkdtemp(prefix="yolotune-")), os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # a fork inherits this, too
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _is_private(folder: Path) -> bool:
    """Whether a folder is there, is no link, and is closed to all other users."""
    try:
        found = folder.lstat()
    except OSError:  # on another machine, or gone
        return False
    mine = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return mine and stat.S_ISDIR(found.st_mode) and (folder / "Ultralytics" / "settings.json").is_file()


def user_settings_folder() -> Path:
    """Returns where Ultralytics keeps the user's settings (`ultralytics/utils/__init__.py: get_user_config_dir`)."""
    given = os.environ.get("YOLO_CONFIG_DIR")
    if given:
        return Path(given).expanduser() / "Ultralytics"
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Application Support" / "Ultralytics"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config").expanduser() / "Ultralytics"


def _write_settings(private: Path, users: Path) -> None:
    """Writes a complete settings file, so that Ultralytics has no reason to write one itself."""
    try:
        kept = json.loads(users.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    base = Path.cwd()
    settings = {
        "settings_version": SETTINGS_VERSION,
        "datasets_dir": str(kept.get("datasets_dir", base / "datasets")),
        "weights_dir": str(kept.get("weights_dir", base / "weights")),
        "runs_dir": str(base / "runs"),
        "uuid": "0" * 64,
        "api_key": "",
        "openai_api_key": "",
        "vscode_msg": False,
        "openvino_msg": False,
        **dict.fromkeys(INTEGRATIONS, False),
    }
    private.write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _provide_font(private: Path, users: Path) -> None:
    """Puts a font where Ultralytics looks for Arial, which it would otherwise try to download for every plot."""
    found = find_spec("matplotlib")  # it is not needed otherwise before a training, and takes 0.1 s to import
    assert found is not None and found.origin is not None
    shipped = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    shutil.copyfile(users if users.exists() else shipped, private)
