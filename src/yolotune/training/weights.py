"""The model a study starts from: found, safe to load, and a segmentation model."""

from __future__ import annotations

from pathlib import Path

from yolotune.data.content import mistaken
from yolotune.errors import fail

#: How files begin that torch.save wrote: a zip archive, or in old versions a pickle.
PYTORCH = (b"PK", b"\x80\x02")


def find_model(name: str) -> str:
    """Returns the absolute path of weights, or the name of an architecture that Ultralytics ships.

    Weights that are nowhere on this machine are downloaded by Ultralytics, if they are its own and there is a network.
    They are loaded once, without running code from their pickle (`ULTRALYTICS_SAFE_LOAD`).

    Raises:
        UserError: No such file, not loadable, or a model for another task.
    """
    if name.endswith((".yaml", ".yml")):
        return _architecture(name)
    if not name.endswith(".pt"):
        raise fail("model", f"got {name!r}, expected weights (.pt) or an architecture (.yaml).", "see --model.")
    path = Path(name)
    if not path.is_file():
        path = _download(name)
    _require_segmentation(_task_of_weights(path), str(path))
    return str(path.resolve())


def size_of(model: str) -> int:
    """Returns the bytes of best.pt of a model: its parameters in half precision, and a little.

    Args:
        model: As `find_model` returned it.
    """
    if Path(model).suffix == ".pt":
        return Path(model).stat().st_size
    from ultralytics.nn.tasks import SegmentationModel

    built = SegmentationModel(model, verbose=False)
    return 2 * sum(int(parameter.numel()) for parameter in built.parameters()) + 500_000


def _architecture(name: str) -> str:
    from ultralytics.nn.tasks import guess_model_task, yaml_model_load

    try:
        config = yaml_model_load(Path(name).resolve() if Path(name).exists() else name)
        task = guess_model_task(config)
    except OSError as error:
        raise fail(
            "model", f"no architecture {name!r}.", "use one like yolo11n-seg.yaml, or a path to yours."
        ) from error
    except Exception as error:  # PyYAML's and Ultralytics' many kinds; all mean the same to the user
        what = f"{name} cannot be read as an architecture: {_first_line(error)}"
        raise fail("model", what, "use one like yolo11n-seg.yaml, or a path to yours.") from error
    _require_segmentation(task, name)
    return str(Path(name).resolve()) if Path(name).exists() else name


def _download(name: str) -> Path:
    """Lets Ultralytics fetch weights of its own into the current folder, where it would look for them too."""
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

    known = name in GITHUB_ASSETS_NAMES
    if known:
        try:
            found = Path(attempt_download_asset(name))
        except Exception as error:  # whatever a failed download raises, the user needs the same two ways out
            raise fail(
                "model", f"{name} is not here and could not be downloaded: {_first_line(error)}", _WAYS_OUT
            ) from error
        if found.is_file():
            return found
    missing = "is not here and could not be downloaded." if known else "does not exist."
    raise fail("model", f"{name} {missing}", _WAYS_OUT)


_WAYS_OUT = "give the path of weights, or --model yolo11n-seg.yaml to start from random ones."


def _task_of_weights(path: Path) -> str:
    from ultralytics.nn.tasks import load_checkpoint

    try:
        model, _ = load_checkpoint(path)
    except Exception as error:  # torch, pickle and Ultralytics raise many kinds here; all mean the same to the user
        what, fix = _why_unreadable(path, error)
        raise fail(str(path), f"cannot be loaded as Ultralytics weights: {what}", fix) from error
    return str(getattr(model, "task", None) or "unknown")


def _why_unreadable(path: Path, error: Exception) -> tuple[str, str]:
    """Returns what is wrong with a file that cannot be loaded, and the fix."""
    if found := mistaken(path):
        return found
    fix = "use weights that Ultralytics saved, not an export."
    with path.open("rb") as file:
        known = file.read(2) in PYTORCH
    return (_first_line(error) if known else "it is no file that PyTorch wrote."), fix


def _require_segmentation(task: str, name: str) -> None:
    if task != "segment":
        fix = "use a segmentation model: its name ends in -seg."
        raise fail(name, f"is a model for the task {task!r}, expected 'segment'.", fix)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".") + "."
