"""Makes docs/report.png, the picture in the README: the upper part of a study's report, as a browser shows it.

    python -m benchmarks.report_picture STUDY

STUDY is the folder of an ended study. Needs an installed Chromium. The report is made anew from a copy of the record,
in which the machine's folders are called `/home/you`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from yolotune._yaml import read_yaml
from yolotune.record.study import read_study
from yolotune.report import write_report

PICTURE = Path(__file__).parents[1] / "docs" / "report.png"
#: Pixels of the page, and the section that the picture ends with.
WIDTH, LAST = 1120, "curves"
#: Folders that the report does not read.
UNREAD = ("weights", "curves", "ray", "wandb", "images")
HOME = "/home/you"


def copied_report(study: Path, folder: Path) -> Path:
    """Returns the report of a copy of a study's record, without photographs and without paths of this machine."""
    copy = Path(shutil.copytree(study, folder / study.name, ignore=shutil.ignore_patterns(*UNREAD))).resolve()
    data = Path(read_study(copy).settings.data).resolve()
    images = Path(read_yaml(copy / "data" / "data.yaml")["train"]).parents[1]
    names = {
        str(copy): f"{HOME}/runs/tune/{study.name}",
        f"{data.parent}/": f"{HOME}/{data.parent.name}/",
        f"{images}/": f"{HOME}/{data.parent.name}/",
    }

    def without_paths(text: str) -> str:
        for path, shown in names.items():
            text = text.replace(path, shown)
        return text

    return write_report(copy, photos=False, redact=without_paths)


def take(report: Path, picture: Path) -> None:
    """Writes a picture of a report from its top to the end of the section `LAST`."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(report.as_uri())
        end = page.locator(f"#{LAST}").bounding_box()
        assert end is not None
        height = end["y"] + end["height"]
        page.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
        browser.close()


def main() -> None:
    study = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        take(copied_report(study, Path(folder)), PICTURE)
    print(PICTURE)


if __name__ == "__main__":
    main()
