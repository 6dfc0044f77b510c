"""The report in a real browser: every chart drawn, no request, nothing hostile obeyed, on any screen."""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml
from playwright.sync_api import Browser, Page, sync_playwright

from records import ENVIRONMENT, write_study
from yolotune.config.layers import make_settings
from yolotune.record.study import StudyRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.report import photos, write_report
from yolotune.report.trials import SHOWN
from yolotune.tuner.events import Listener
from yolotune.workflows.search import search

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><img src=x onerror=alert(1)>"

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed to open the page with")


class Told(Listener):
    """Remembers the report."""

    def __init__(self) -> None:
        self.reports: list[Path] = []
        self.notes: list[str] = []

    def report_written(self, path: Path) -> None:
        self.reports.append(path)

    def note(self, text: str) -> None:
        self.notes.append(text)


def train(data: Path, folder: Path, told: Told) -> StudyRecord:
    settings = make_settings(
        data=str(data),
        model="yolo11n-seg.yaml",
        project=str(folder),
        epochs=2,
        imgsz=64,
        device="cpu",
        cpus=2,
        concurrent=2,
        num_samples=2,
        space={"lr0": "loguniform(1e-3, 2e-2)", "optimizer": "choice([AdamW, SGD])"},
        train={"nbs": 8, "batch": 6, "mosaic": 0.0, "warmup_epochs": 1},
    )
    return search(settings, told)


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyRecord, Told]:
    """A real study of two epochs on a dataset with a class that is called as nobody should call one."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(shapes.parent, folder / "data")
    written = yaml.safe_load((folder / "data" / "data.yaml").read_text())
    written["names"][0] = HOSTILE
    (folder / "data" / "data.yaml").write_text(yaml.safe_dump(written))
    told = Told()
    return train(folder / "data" / "data.yaml", folder, told), told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study of 40 trials with every chart, and tags in names and reasons."""
    data = {**ENVIRONMENT["dataset"], "names": {"0": HOSTILE}}
    endings = {5: Ending(Verdict.FAILED, HOSTILE), 6: Ending(Verdict.DIVERGED, "NaN"), 7: Ending(Verdict.OOM, HOSTILE)}
    folder = tmp_path_factory.mktemp("made") / "s"
    write_study(folder, trials=40, endings=endings, environment={**ENVIRONMENT, "dataset": data}, name=HOSTILE[9:])
    return write_report(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


Open = Callable[..., tuple[Page, list[str]]]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page and lists all that it should not do: errors, dialogs, requests beyond itself."""
    contexts = []

    def opened(path: Path, **screen: Any) -> tuple[Page, list[str]]:
        context = browser.new_context(**screen)
        contexts.append(context)
        page, faults = context.new_page(), []
        page.on("console", lambda said: faults.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda asked: faults.append(asked.url) if not asked.url.startswith("data:") else None)
        page.goto(path.as_uri())
        assert faults.pop(0) == path.as_uri()
        return page, faults

    yield opened
    for context in contexts:
        context.close()


#: Drawn marks, bars and lines of each chart.
DRAWN = """() => Object.fromEntries([...document.querySelectorAll('.plot')].map(plot => [plot.id.replace('chart-', ''),
    [...plot.querySelectorAll('.point path, path.point, .points path, path.js-line')]
        .filter(part => part.getBBox().width + part.getBBox().height > 0).length]))"""


@in_browser
def test_a_real_study_ends_with_a_report(trained: tuple[StudyRecord, Told], open_page: Open) -> None:
    record, told = trained
    assert told.reports == [record.folder / "report.html"]
    page, faults = open_page(told.reports[0])
    drawn = page.evaluate(DRAWN)
    assert {"curves", "curves-train", "rungs"} <= drawn.keys()
    assert ("best-so-far" in drawn) is not record.learned_nothing
    assert all(drawn.values()), drawn
    assert HOSTILE in page.inner_text("#settings") and HOSTILE in page.inner_text("#classes")
    assert page.locator("main img").count() == 0
    assert "finds next to nothing" in page.inner_text("#photos")
    assert not faults


@in_browser
def test_photographs_of_real_weights_carry_hostile_names(
    trained: tuple[StudyRecord, Told], open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "LEAST_F1", -1.0)
    page, faults = open_page(write_report(trained[0].folder))
    pictures = page.locator("#photos img")
    assert pictures.count() in (12, 18)  # six images, their labels, one model or two
    sizes = pictures.evaluate_all("all => all.map(one => one.naturalWidth)")
    assert all(width == 400 for width in sizes)
    key = page.locator("#photos .key")
    assert HOSTILE in key.inner_text() and "false alarm" in key.inner_text()
    bordered = "all => all.map(one => getComputedStyle(one).borderTopWidth + one.offsetWidth)"
    assert {*key.locator(".swatch").evaluate_all(bordered)} == {"2px18"}, "every colour of the key is seen"
    assert "found" in page.inner_text("#photos .photos")
    assert not faults


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_every_chart_is_drawn_and_nothing_overflows(made: Path, open_page: Open, scheme: str, width: int) -> None:
    screen = {"width": width, "height": 800}
    page, faults = open_page(made, viewport=screen, color_scheme=scheme, has_touch=width < 500)
    drawn = page.evaluate(DRAWN)
    expected = {"best-so-far", "curves", "curves-train", "rungs", "importance", "overfitting"}
    expected |= {"parallel-coordinates", "strongest-pair"}
    assert expected <= drawn.keys() and sum(name.startswith("slice-") for name in drawn) == 5
    assert all(drawn.values()), drawn
    assert page.evaluate("document.documentElement.scrollWidth") == width
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    chart = page.evaluate("document.querySelector('#chart-curves .main-svg').style.background")
    assert back == chart == ("rgb(20, 23, 27)" if scheme == "dark" else "rgb(255, 255, 255)")
    assert page.locator(".plot:not([aria-label])").count() == 0
    assert not faults


@in_browser
def test_charts_follow_the_readers_theme(made: Path, open_page: Open) -> None:
    page, faults = open_page(made, color_scheme="light")
    page.emulate_media(color_scheme="dark")
    back = "document.querySelector('#chart-curves .main-svg').style.background"
    deadline = time.monotonic() + 10
    while page.evaluate(back) != "rgb(20, 23, 27)":  # the page's policy forbids what `wait_for_function` does
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
    assert all(page.evaluate(DRAWN).values())
    assert not faults


@in_browser
def test_hostile_texts_stay_texts_in_the_page_and_when_hovered(made: Path, open_page: Open) -> None:
    page, faults = open_page(made, viewport={"width": 1200, "height": 900})
    for section in ("#failures", "#settings", "#trials"):
        assert HOSTILE in page.inner_text(section)
    assert page.inner_text("h1") == HOSTILE[9:]
    place = page.evaluate("figures['curves'].data.findIndex(trace => trace.name === 'failed' && trace.text)")
    page.evaluate(f"Plotly.Fx.hover('chart-curves', [{{curveNumber: {place}, pointNumber: 0}}])")
    page.wait_for_selector("#chart-curves .hovertext")
    assert HOSTILE in page.text_content("#chart-curves .hovertext")
    assert not faults


@in_browser
def test_the_table_is_sorted_by_keyboard(made: Path, open_page: Open) -> None:
    page, faults = open_page(made)
    head = page.locator(".trials thead th", has_text="mask F1, val")
    place = head.evaluate("cell => cell.cellIndex")
    read = (
        f"[...document.querySelector('.trials').tBodies[0].rows].map(row => parseFloat(row.cells[{place}].innerText))"
    )
    for way, order in (("ascending", sorted), ("descending", lambda values: sorted(values, reverse=True))):
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == way
        values = page.evaluate(read)
        assert len(values) == 40 and values == order(values)
    assert page.locator(".trials [aria-sort]").count() == 1
    assert not faults


@in_browser
def test_trials_and_charts_are_saved_without_a_request(made: Path, open_page: Open) -> None:
    page, faults = open_page(made, viewport={"width": 1200, "height": 900})
    with page.expect_download() as saving:
        page.click("#trials a[download]")
    assert saving.value.suggested_filename.endswith("-trials.csv")
    with open(saving.value.path(), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == [str(number) for number in range(40)]
    assert rows[5]["reason"] == HOSTILE and float(rows[0]["lr0"]) > 0
    page.locator("#chart-curves").hover()
    with page.expect_download() as saving:
        page.click("#chart-curves .modebar-btn")
    assert saving.value.suggested_filename == "curves.png"
    height, width = cv2.imread(str(saving.value.path())).shape[:2]
    assert height == 2 * 340 and width > height
    assert not [fault for fault in faults if not fault.startswith("blob:")], "nothing but the page's own picture"


@in_browser
def test_a_thousand_trials_are_still_usable(tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the made record need not survive a power cut
    study = write_study(tmp_path / "s", trials=1000)
    began = time.monotonic()
    path = write_report(study, photos=False)
    assert time.monotonic() - began < 30
    assert path.stat().st_size < 8e6
    began = time.monotonic()
    page, faults = open_page(path)
    assert all(page.evaluate(DRAWN).values())
    assert time.monotonic() - began < 15
    assert f"Drawn are {SHOWN} of 1,000 trials" in page.inner_text("#curves")
    assert page.locator(".trials tbody tr").count() == 1000
    assert not faults
