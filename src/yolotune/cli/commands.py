"""Commands: parse, call, print. No logic.

Options are named as in the guide; an underscore serves for a hyphen. Trailing `key=value` pairs are fixed Ultralytics
arguments. What a command needs is imported when it runs, so that `yolotune --help` answers at once.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yolotune.cli.options import MACHINE, TRAINING, takes_settings
from yolotune.config.settings import Settings
from yolotune.errors import UserError, YolotuneError

if TYPE_CHECKING:
    from yolotune.record.study import StudyRecord

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finds the hyperparameters that train the best YOLO11 segmentation model on your data.",
)
NAMES = {"token_normalize_func": lambda token: token.replace("_", "-"), "help_option_names": ["-h", "--help"]}
#: Exit code where something is wrong with what was given.
BAD_INPUT = 2
#: Exit codes of a study that has no result, and after Ctrl-C, as shells have it.
FAILED, INTERRUPTED = 1, 130
Folder = Annotated[Path, typer.Argument(help="Folder of a study, such as runs/tune/study.", show_default=False)]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"yolotune {metadata.version('yolotune')}")
        raise typer.Exit


@app.callback(context_settings=NAMES)
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keeps sub-commands even while there is one."""


@app.command(context_settings=NAMES)
@takes_settings()
def run(
    settings: Settings,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the study of this name, if there is one.")] = False,
) -> None:
    """Search: check everything, then train trial after trial.

    Example: yolotune run --data path/to/data.yaml --project my_project --concurrent 2 imgsz=320
    """
    from yolotune.display.live import watching
    from yolotune.workflows.search import search

    with watching() as listener:
        record = search(settings, listener, resume_existing=resume)
    _show_result(record)


@app.command(context_settings=NAMES)
@takes_settings()
def resume(
    settings: Settings,
    folder: Folder,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Even if dataset, space or objective have changed.")
    ] = False,
) -> None:
    """Continue a study: after a crash, Ctrl-C or a reboot, on another machine, with more trials.

    What is not given stays as it was.

    Example: yolotune resume runs/tune/study --num-samples 80
    """
    from yolotune.display.live import watching
    from yolotune.workflows.resume import resume as resume_study

    with watching() as listener:
        record = resume_study(folder, settings, listener, allow_changes=allow_changes)
    _show_result(record)


@app.command(context_settings=NAMES)
@takes_settings(*MACHINE, "keep_weights", pairs=False)
def confirm(
    settings: Settings,
    folder: Folder,
    top: Annotated[int, typer.Option(min=1, help="Best points to train again, beside the defaults.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh seeds for each of them.")] = 3,
) -> None:
    """Train the best points and the defaults again on fresh seeds: is the best one better, and by how much?

    What is not given stays as in the search.

    Example: yolotune confirm runs/tune/study --top 3 --seeds 3
    """
    from yolotune.display.live import watching
    from yolotune.display.tables import print_confirmation
    from yolotune.workflows.confirm import confirm as confirm_study

    with watching() as listener:
        found = confirm_study(folder, settings, listener, top=top, seeds=seeds)
    print_confirmation(found)


@app.command(context_settings=NAMES)
@takes_settings(*TRAINING)
def retrain(
    settings: Settings,
    folder: Folder,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings, each on a seed of its own; the best is marked.")] = 1,
    on_all: Annotated[
        bool, typer.Option("--on-all", help="On train and val images; nothing is left for an honest score.")
    ] = False,
) -> None:
    """Train the final model with the best point, the confirmed one if there is one.

    What is not given stays as in the search.

    Example: yolotune retrain runs/tune/study --epochs 600 --seeds 3 cos_lr=true
    """
    from yolotune.display.live import watching
    from yolotune.display.tables import print_model
    from yolotune.workflows.retrain import retrain as retrain_study

    with watching() as listener:
        found = retrain_study(folder, settings, listener, seeds=seeds, on_all=on_all)
    print_model(found)


@app.command(context_settings=NAMES)
@takes_settings()
def check(
    settings: Settings,
    every: Annotated[bool, typer.Option("--all", help="Tell all classes, and every place of what is found.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: docs/data.md.")] = False,
) -> None:
    """Say what the dataset is, what is likely wrong with it, and what else would keep a study from running.

    Example: yolotune check --data path/to/data.yaml
    """
    from yolotune.display.dataset import diagnosis_document, print_diagnosis
    from yolotune.display.live import checking
    from yolotune.record.folder import new_folder
    from yolotune.tuner.check import diagnose

    with checking():
        found = diagnose(settings)
    if as_json:
        print(json.dumps(diagnosis_document(found), indent=2))
    else:
        print_diagnosis(found, new_folder(settings), every=every)
        if found.problems:
            raise UserError(found.problems)
    if found.plan is None:
        raise typer.Exit(BAD_INPUT)


@app.command(context_settings=NAMES)
@takes_settings()
def init(settings: Settings, output: Annotated[Path, typer.Option(help="File to write.")] = Path("study.yaml")) -> None:
    """Write a commented study file to edit.

    Example: yolotune init --data path/to/data.yaml --epochs 100 --output study.yaml
    """
    from yolotune.config.template import write_study_file

    write_study_file(settings, output)
    print(f"Written: {output}. Edit it, then: yolotune run {output}")


@app.command()
def status(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="For scripts: docs/watching.md.")] = False
) -> None:
    """Print how a study stands, running or ended: trials, epochs, best so far, time left."""
    from yolotune.display.picture import print_status
    from yolotune.record.folder import holder
    from yolotune.record.study import read_study
    from yolotune.report.status import document, summarize

    process = holder(folder)
    record = read_study(folder)
    summary = summarize(record, running=process is not None)
    if as_json:
        print(json.dumps(document(record, summary, process), indent=2))
    else:
        print_status(record, summary, process)


@app.command()
def dashboard(
    folder: Folder, port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8080
) -> None:
    """Show a study in the browser, until Ctrl-C. Needs optuna-dashboard, which the extra `dashboard` installs."""
    from yolotune.workflows.dashboard import serve

    serve(folder, port, lambda address: print(f"{address} shows {folder}. Ctrl-C ends it.", flush=True))


@app.command()
def best(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Print the best hyperparameters of a study, running or ended."""
    from yolotune.display.tables import best_document, best_lines
    from yolotune.record.study import read_study

    record = read_study(folder)
    print(json.dumps(best_document(record)) if as_json else "\n".join(best_lines(record)))


@app.command(context_settings=NAMES)
def report(
    folder: Folder,
    no_photos: Annotated[bool, typer.Option("--no-photos", help="Draw no validation photographs.")] = False,
) -> None:
    """Write report.html into the folder of a study, running or ended: one page, to be opened in a browser.

    Example: yolotune report runs/tune/study
    """
    from yolotune.report.page import write_report
    from yolotune.tracking import redact

    print(f"Report:  {write_report(folder, photos=not no_photos, redact=redact)}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the made dataset and the study go.")] = Path("runs/demo"),
) -> None:
    """Make a small dataset of shapes and run a whole study on it: no data, network, GPU or account needed."""
    from yolotune.display.live import watching
    from yolotune.workflows.demo import demo_settings
    from yolotune.workflows.search import search

    with watching() as listener:
        record = search(demo_settings(folder), listener)
    _show_result(record)


def _show_result(record: StudyRecord) -> None:
    """Prints what a search has found; one in which no trial has learned anything ends as a failure."""
    from yolotune.display.tables import print_result

    print_result(record)
    if record.learned_nothing:
        raise typer.Exit(FAILED)


def main() -> None:
    """Entry point of `yolotune`; the script `tune_yolo11_seg.py` calls it too."""
    code = _exit_code(app, sys.argv[1:])
    gc.freeze()  # a last collection of all that a study has loaded takes most of a second
    sys.exit(code)


def _exit_code(command: Callable[..., Any], arguments: list[str]) -> int:
    """Runs a command line and returns its exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    try:
        command(args=arguments, prog_name="yolotune", standalone_mode=True)
    except UserError as error:
        print("\n".join(f"error: {problem}" for problem in error.problems), file=sys.stderr)
        return BAD_INPUT
    except YolotuneError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    else:
        return 0
    if code == INTERRUPTED:  # typer turns Ctrl-C into this exit code without a word
        print("Interrupted.", file=sys.stderr)
    return code
