"""Commands: parse, call, print. No logic.

Flags are the guide's; an underscore serves for a hyphen. Trailing `key=value` pairs are fixed Ultralytics arguments.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yolotune.cli.options import MACHINE, TRAINING, takes_settings, takes_study
from yolotune.errors import UserError, YolotuneError

if TYPE_CHECKING:
    from yolotune.config.settings import Settings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finds the hyperparameters that train the best YOLO11 segmentation model on your data.",
)
WORD_SETTINGS = {"token_normalize_func": lambda token: token.replace("_", "-"), "help_option_names": ["-h", "--help"]}
Folder = Annotated[Path, typer.Argument(help="Folder of a study, such as runs/tune/study.", show_default=False)]


@app.callback()
def _root() -> None:
    """Keeps sub-commands even while there is one."""


@app.command(context_settings=WORD_SETTINGS)
@takes_study
def run(
    study: Settings,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study of this name, if any.")] = False,
) -> None:
    """Search: check everything, then train trial after trial.

    Example: yolotune run --data path/to/data.yaml --project my_project --concurrent 2 imgsz=320
    """
    import yolotune
    from yolotune.display.lines import print_result
    from yolotune.display.live import watching

    folder = study.wanted_folder()
    with watching() as listener:
        if resume and (folder / "study.yaml").exists():
            record = yolotune.resume(folder, study, listener)
        else:
            record = yolotune.run(study, listener)
    print_result(record)


@app.command(context_settings=WORD_SETTINGS)
@takes_study
def resume(
    study: Settings,
    folder: Folder,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Even if dataset, space or objective are others.")
    ] = False,
) -> None:
    """Go on with a study: after a crash, Ctrl-C or a reboot, on another machine, with more trials.

    Example: yolotune resume runs/tune/study --num-samples 80
    """
    import yolotune
    from yolotune.display.lines import print_result
    from yolotune.display.live import watching

    with watching() as listener:
        record = yolotune.resume(folder, study, listener, allow_changes=allow_changes)
    print_result(record)


@app.command(context_settings=WORD_SETTINGS)
@takes_settings(*MACHINE, words=False)
def confirm(
    study: Settings,
    folder: Folder,
    top: Annotated[int, typer.Option(min=1, help="Best points to train again, beside the defaults.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh seeds for each of them.")] = 3,
) -> None:
    """Train the best points and the defaults again on fresh seeds: is the best one better, and by how much?

    Example: yolotune confirm runs/tune/study --top 3 --seeds 3
    """
    import yolotune
    from yolotune.display.lines import print_confirmation
    from yolotune.display.live import watching

    with watching() as listener:
        found = yolotune.confirm(folder, study, listener, top=top, seeds=seeds)
    print_confirmation(found)


@app.command(context_settings=WORD_SETTINGS)
@takes_settings(*TRAINING, words=True)
def retrain(
    study: Settings,
    folder: Folder,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings, each on a seed of its own; the best is marked.")] = 1,
    on_all: Annotated[
        bool, typer.Option("--on-all", help="On train and val images; nothing is left for an honest score.")
    ] = False,
) -> None:
    """Train the final model with the best point, the confirmed one if there is one.

    Example: yolotune retrain runs/tune/study --epochs 600 --seeds 3 cache=disk
    """
    import yolotune
    from yolotune.display.lines import print_model
    from yolotune.display.live import watching

    with watching() as listener:
        found = yolotune.retrain(folder, study, listener, seeds=seeds, on_all=on_all)
    print_model(found)


@app.command(context_settings=WORD_SETTINGS)
@takes_study
def check(study: Settings) -> None:
    """Say everything that is wrong with study, space, points, dataset, weights, resources and storage."""
    from yolotune.display.lines import print_plan
    from yolotune.tuner.check import check as check_study

    print_plan(check_study(study), study.folder())


@app.command(context_settings=WORD_SETTINGS)
@takes_study
def init(study: Settings, output: Annotated[Path, typer.Option(help="File to write.")] = Path("study.yaml")) -> None:
    """Write a commented study file to edit, then: yolotune run study.yaml."""
    from yolotune.config.template import write_study_file

    write_study_file(study, output)
    print(f"Written: {output}. Edit it, then: yolotune run {output}")


@app.command()
def status(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Print how a study stands, running or ended: trials, epochs, best so far, time left."""
    from yolotune.display.live import print_status
    from yolotune.record.lock import holder
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
    from yolotune.display.lines import best_lines
    from yolotune.record.study import read_study
    from yolotune.search.provenance import known_from

    record = read_study(folder)
    if as_json:
        found, held = record.chosen, record.confirmed
        mean = held.mean if found and held and held.trial == found.number else None
        said = {"trial": found.number, "value": found.value, "confirmed": mean, "point": found.point} if found else None
        prior = known_from(found.point, record.settings) if found else None
        print(json.dumps(said and said | {"warm_from": prior and asdict(prior)}))
    else:
        print("\n".join(best_lines(record)))


@app.command(context_settings=WORD_SETTINGS)
def report(
    folder: Folder,
    no_photos: Annotated[bool, typer.Option("--no-photos", help="Draw no validation photographs.")] = False,
) -> None:
    """Write report.html into the folder of a study, running or ended: one page, to be opened in a browser.

    Example: yolotune report runs/tune/study
    """
    from yolotune.report.page import write_report

    print(f"Report:  {write_report(folder, photos=not no_photos)}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the made dataset and the study go.")] = Path("runs/demo"),
) -> None:
    """Make a small dataset of shapes and run a whole study on it: no data, network, GPU or account needed."""
    import yolotune
    from yolotune.display.lines import print_result
    from yolotune.display.live import watching
    from yolotune.workflows.demo import demo_study

    with watching() as listener:
        record = yolotune.run(demo_study(folder), listener)
    print_result(record)


def main() -> None:
    """Entry point of `yolotune`; the script `tune_yolo11_seg.py` calls it too."""
    sys.exit(_exit_code(app, sys.argv[1:]))


def _exit_code(command: Any, arguments: list[str]) -> int:
    """Runs a command line and returns its exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    try:
        command(args=arguments, prog_name="yolotune", standalone_mode=True)
    except UserError as error:
        print("\n".join(f"error: {problem}" for problem in error.problems), file=sys.stderr)
        return 2
    except YolotuneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0
