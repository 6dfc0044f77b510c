"""The page says what the record says, also where that is little, and shows what users wrote letter by letter."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from records import ENVIRONMENT, write_study
from yolotune._yaml import read_yaml, write_yaml
from yolotune.errors import UserError
from yolotune.record.verdict import Ending, Verdict
from yolotune.report import page, write_report

HOSTILE = "</script><img src=x onerror=alert(1)>"


def text_of(folder: Path) -> str:
    """Returns a study's page without plotly.js."""
    text = write_report(folder, photos=False).read_text(encoding="utf-8")
    assert "plotly.js v" in text
    return re.sub(r"<script nonce=\"[^\"]+\">.*?</script>", "", text, flags=re.DOTALL)


# --- little to say -----------------------------------------------------------------------------------------------


def test_an_empty_study_gives_a_page(tmp_path: Path) -> None:
    text = text_of(write_study(tmp_path / "s", trials=0))
    assert "No trial has a value yet" in text and "No trial has been started yet" in text
    assert "No trial has reached a rung yet; the first is at epoch" in text


def test_a_study_whose_trials_all_failed_says_why(tmp_path: Path) -> None:
    endings = {n: Ending(Verdict.FAILED, "CUDA error: no kernel image") for n in range(3)}
    study = write_study(tmp_path / "s", trials=3, values={n: [] for n in range(3)}, endings=endings)
    (study / "trials" / "0001" / "error.txt").write_text("Traceback\n  line 7\nRuntimeError: the very last line")
    text = text_of(study)
    assert text.count("CUDA error: no kernel image") >= 3
    assert "RuntimeError: the very last line" in text


def test_a_study_of_a_scheduler_that_is_not_registered_has_all_but_rungs(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=12, epochs=3, scheduler="none")
    file = study / "study.yaml"
    file.write_text(file.read_text().replace("name: none", "name: median\n  least: 4"))
    text = text_of(study)
    assert "The scheduler median has no rungs to show." in text and 'id="chart-rungs"' not in text
    for name in ("best-so-far", "curves", "importance", "overfitting"):
        assert f'id="chart-{name}"' in text
    assert re.search(r"scheduler\.least</th><td>4<", text)


def test_rungs_of_halving_are_told_by_batch(tmp_path: Path) -> None:
    text = text_of(write_study(tmp_path / "s", trials=12, epochs=10, scheduler="halving"))
    assert re.search(r"Halving cut \d+ trials at \d rungs of 2 batches", text) and "<th>batch</th>" in text


def test_a_study_without_environment_json_still_reports(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=3, epochs=3)
    (study / "environment.json").write_text("{torn")
    assert "versions and dataset are unknown" in text_of(study)


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study\.yaml is missing"):
        write_report(str(tmp_path))


def test_weights_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=2, epochs=3)
    assert "best.pt is not there" in write_report(study).read_text(encoding="utf-8")


def test_a_study_of_the_first_schema_still_reports(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=12, epochs=10)
    file = study / "study.yaml"
    written = {**read_yaml(file, whole=True), "schema": 1, "history": False, "time_budget": None, "warm_start": None}
    numbers = {key: value for key, value in written.pop("scheduler").items() if key != "name"}
    written |= {"scheduler": "asha", "asha": {**numbers, "batch": 9}, "concurrent": "auto", "direction": "max"}
    write_yaml(file, written)
    text = text_of(study)
    assert 'id="chart-rungs"' in text and "ASHA compared trials at" in text


def test_f1_by_class_stands_beside_the_defaults(tmp_path: Path) -> None:
    values = {0: [0.4] * 3, 1: [0.5] * 3}
    study = write_study(tmp_path / "s", trials=2, epochs=3, values=values, scheduler="none")
    assert 'id="classes"' not in text_of(study), "an older record has none"
    for number, found in enumerate([{"cat": 0.2, "dog": 0.6}, {"cat": 0.5, "dog": 0.5, HOSTILE: 0.1}]):
        ended = {"schema": 1, "verdict": "completed", "f1_by_class": found}
        write_yaml(study / "trials" / f"{number:04d}" / "ended.yaml", ended)
    text = text_of(study)
    assert re.search(r"cat</th><td>0.500</td><td>0.200</td><td>\+0.300<", text)
    assert re.search(r"dog</th><td>0.500</td><td>0.600</td><td>-0.100<", text)
    assert re.search(r"alert\(1\)&gt;</th><td>0.100</td><td>–</td><td>–<", text)


def test_points_of_earlier_studies_are_named(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=3, epochs=3)
    point = (study / "trials" / "0001" / "point.yaml").read_text().replace("schema: 1\n", "")
    lines = [line for line in point.splitlines() if line and not line.startswith("#")]
    warm = "warm_points:\n- " + "\n  ".join(lines) + "\n"
    warm += "warm_from:\n- {study: earlier, folder: /gone, trial: 4, value: 0.6, same_data: true}\n"
    file = study / "study.yaml"
    file.write_text(warm + file.read_text())
    text = text_of(study)
    assert "it was given 1 point of earlier (the same data, trial 4), tried here as trial 1" in text
    assert "which may flatter them" in text and "trial 4 of earlier</td>" in text


def test_the_page_stays_small_and_quick(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=30)
    began = time.monotonic()
    size = write_report(study, photos=False).stat().st_size
    assert time.monotonic() - began < 5
    assert size < 8e6


def test_a_page_needs_neither_ray_nor_torch(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=12, epochs=3)
    code = (
        "import sys; from yolotune.report import write_report; write_report(sys.argv[1], photos=False);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(study)], capture_output=True, text=True, check=True)
    assert not {"ray", "torch", "ultralytics", "wandb", "pandas"} & set(done.stdout.split())


# --- what users wrote --------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Collects what a browser would build."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def hostile_study(folder: Path) -> Path:
    """A study with a tag in every text that users have a say in."""
    data = {**ENVIRONMENT["dataset"], "names": {"0": HOSTILE}, "yaml": f"/data/{HOSTILE}"}
    environment = {**ENVIRONMENT, "dataset": data, "notes": [HOSTILE], "machine": HOSTILE}
    endings = {3: Ending(Verdict.FAILED, HOSTILE), 4: Ending(Verdict.PRUNED, HOSTILE)}
    space = {"lr0": "loguniform(1e-4, 1e-1)", "optimizer": f"choice(['{HOSTILE}', 'SGD'])"}
    name = HOSTILE.replace("/", "")
    study = write_study(folder, trials=14, epochs=10, environment=environment, endings=endings, name=name, space=space)
    (study / "trials" / "0003" / "error.txt").write_text(HOSTILE)
    return study


def test_hostile_texts_are_shown_and_do_nothing(tmp_path: Path) -> None:
    text = write_report(hostile_study(tmp_path / "s"), photos=False).read_text(encoding="utf-8")
    text = re.sub(r"/\*\*\n\* plotly\.js v.*?</script>", "</script>", text, flags=re.DOTALL)  # slow to parse
    parsed = Tags()
    parsed.feed(text)
    assert "img" not in parsed.tags
    assert parsed.tags.count("script") == 4
    assert "".join(parsed.words).count(HOSTILE) >= 6
    embedded = re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)
    assert embedded and "<" not in embedded[1]
    hover = json.dumps(json.loads(embedded[1]))  # plotly reads tags, so its texts carry entities
    assert "&lt;img" in hover and "<img" not in hover


def test_the_table_of_trials_holds_no_formula_and_no_secret(tmp_path: Path) -> None:
    endings = {1: Ending(Verdict.FAILED, "=cmd|'/c calc'!A0"), 2: Ending(Verdict.FAILED, "key s3cret, two\nlines")}
    study = write_study(tmp_path / "s", trials=3, epochs=3, endings=endings)
    text = write_report(study, photos=False, redact=lambda text: text.replace("s3cret", "***")).read_text("utf-8")
    found = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', text)
    assert found
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(found[1]).decode())))
    assert [row["reason"] for row in rows[1:]] == ["'=cmd|'/c calc'!A0", "key ***, two\nlines"]
    assert float(rows[0]["momentum"]) == read_yaml(study / "trials" / "0000" / "point.yaml", whole=True)["momentum"]


def test_embedded_json_cannot_end_its_element() -> None:
    assert page.embedded({"a": HOSTILE}) == '{"a":"\\u003c/script\\u003e\\u003cimg src=x onerror=alert(1)\\u003e"}'


def test_secrets_are_taken_out_of_the_page(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", trials=2, epochs=3, endings={1: Ending(Verdict.FAILED, "401 for sesame")})
    path = write_report(study, photos=False, redact=lambda text: text.replace("sesame", "***"))
    text = path.read_text(encoding="utf-8")
    assert "sesame" not in text and "401 for ***" in text
