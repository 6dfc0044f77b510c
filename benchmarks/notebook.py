"""Makes docs/notebook.ipynb by running it in a real kernel, in an empty folder; two minutes on two cores.

pip install nbclient ipykernel ipywidgets
python -m benchmarks.notebook
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"
HOME = "/home/you"

TEXT, CODE = "markdown", "code"
CELLS = (
    (
        TEXT,
        "# A study in a notebook\n\nShapes stand in for your own `data.yaml`, so that this runs anywhere in two "
        "minutes. `yolotune.tune` checks everything first, says what it will do, and prints a line for each event.",
    ),
    (
        CODE,
        "from pathlib import Path\n\nfrom yolotune.data.shapes import make_shapes\n\n"
        'data = make_shapes(Path("shapes"), train=96, val=32, test=32, size=64, per_image=2)',
    ),
    (
        CODE,
        "import yolotune\n\nstudy = yolotune.tune(\n    data,\n"
        '    model="yolo11n-seg.yaml",  # with your own data: "yolo11n-seg.pt"\n'
        "    epochs=24,\n    num_samples=8,\n    imgsz=64,\n    grace_period=6,\n"
        '    wandb="disabled",\n    preset="none",\n'
        '    space={"lr0": "loguniform(1e-3, 1e-2)", "box": [5.0, 8.0], "batch": "choice([8, 16])"},\n'
        '    optimizer="AdamW",\n    nbs=16,\n    mosaic=0.0,\n    warmup_epochs=1,\n    warmup_bias_lr=0.0,\n)',
    ),
    (TEXT, "A study shows itself as a table of its trials."),
    (CODE, "study"),
    (
        TEXT,
        "The best point, and what its model and the defaults score on the test split, which took part in no choice.",
    ),
    (
        CODE,
        'study.best.point, {trial: scores["seg_metrics/F1"] for trial, scores in study.test_scores.items()}',
    ),
    (TEXT, "Every epoch is a row of a data frame: draw what you like. `study.report()` writes the whole page."),
    (
        CODE,
        "epochs = study.epochs_dataframe()\n"
        'curves = epochs.pivot(index="epoch", columns="trial", values="seg_metrics/F1")\n'
        'curves.plot(ylabel="mask F1, val", figsize=(7, 3));',
    ),
    (CODE, "study.report()"),
)


def without_machine(node: Any, folder: str) -> Any:
    """Returns a notebook, or a part of it, without the folder it ran in."""
    if isinstance(node, str):
        return node.replace(folder, HOME)
    if isinstance(node, list):
        return [without_machine(one, folder) for one in node]
    if isinstance(node, dict):
        return type(node)({key: without_machine(value, folder) for key, value in node.items()})
    return node


def joined(outputs: list[Any]) -> list[Any]:
    """Returns outputs with the pieces of a stream put together, as a notebook shows them."""
    whole: list[Any] = []
    for one in outputs:
        if one.output_type == "stream" and whole and whole[-1].get("name") == one.name:
            whole[-1].text += one.text
        else:
            whole.append(one)
    return whole


def main() -> None:
    import nbformat
    from nbclient import NotebookClient

    make = {TEXT: nbformat.v4.new_markdown_cell, CODE: nbformat.v4.new_code_cell}
    cells = [make[kind](source, id=f"cell-{place}") for place, (kind, source) in enumerate(CELLS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with tempfile.TemporaryDirectory() as folder:
        where = str(Path(folder).resolve())
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": where}}).execute()
        for cell in notebook.cells:
            cell.metadata.clear()  # when it was run
            if cell.cell_type == CODE:
                cell.outputs = joined(cell.outputs)
        nbformat.write(without_machine(notebook, where), NOTEBOOK)


if __name__ == "__main__":
    main()
