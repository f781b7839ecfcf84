"""tools/models.py: its page, and its handling of models that work, are refused or fail."""

import json
import pathlib

import pytest

from tests.processes import ended
from tools.trying import page
from tools.trying.features import FEATURES
from tools.trying.subjects import SUBJECTS

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_page_has_what_can_be_tried():
    assert tuple(FEATURES) == page.FEATURES
    assert tuple(SUBJECTS) == page.MODELS


def test_the_page_says_what_worked_and_why_the_rest_did_not(tmp_path):
    page.keep(tmp_path, "ViT", "fit", page.WORKS, "5 pairs")
    page.keep(tmp_path, "ViT", "ghostify", page.REFUSED, "A sentence.")
    page.keep(tmp_path, "GPT", "ghostify", page.REFUSED, "A sentence.")
    page.keep(tmp_path, "GPT", "fit", page.FAILS, "Another.")
    page.keep(tmp_path, "GPT", "Resume", page.WORKS, "")
    lines = (tmp_path / "models.md").read_text().splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    assert list(rows) == ["model", *page.MODELS]
    names = [cell.strip() for cell in rows["model"].split("|")[1:-1]]
    vit, gpt, untried = (
        dict(zip(names, (c.strip() for c in rows[name].split("|")[1:-1]), strict=True))
        for name in ("ViT", "GPT", "U-Net")
    )
    assert (vit["fit"], vit["ghostify"], vit["Resume"]) == ("yes (5 pairs)", "1", "untried")
    assert (gpt["fit"], gpt["ghostify"], gpt["Resume"]) == ("**fails** 2", "1", "yes")
    assert set(list(untried.values())[1:]) == {"untried"}
    assert lines[-2:] == ["1. A sentence.", "2. Another."]


def test_the_page_in_docs_is_of_its_results():
    results = json.loads((ROOT / "docs/models.json").read_text())
    assert page.page(results) == (ROOT / "docs/models.md").read_text()


def test_what_takes_too_long_is_untried_and_what_follows_is_tried_all_the_same():
    code = (
        "from tools import models; print(list(models.tried('siamese', ['fit', 'describe'], 0.01)))"
    )
    done = ended(["-c", code])
    sentence = (page.UNTRIED, "It took more than 0.01 s.")  # its imports do
    assert done.stdout.strip() == str([("fit", sentence), ("describe", sentence)]), done.stderr


@pytest.mark.slow
def test_a_model_is_tried_in_a_process_of_its_own():
    command = ["-m", "tools.trying.child", "siamese", "fit", "sharpness"]
    done = ended(command)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(one["feature"], one["word"]) for one in found] == [
        ("fit", page.WORKS),
        ("sharpness", page.WORKS),
    ]


@pytest.mark.parametrize(
    "flag, said",
    [
        ("--models=ViZ", "did you mean 'ViT'"),
        ("--features=fat", "did you mean 'fit'"),
        ("more", "flags only"),
    ],
)
def test_what_there_is_not_is_a_sentence(flag, said):
    command = ["tools/models.py", flag]
    done = ended(command)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert said in done.stderr


def test_of_a_process_that_dies_the_reason_is_told(tmp_path):
    (tmp_path / "keras.py").write_text("raise ImportError('no such Keras')")
    code = "from tools import models; print(list(models.tried('siamese', ['fit'], 600)))"
    done = ended(["-c", code], PYTHONPATH=str(tmp_path))
    sentence = "Its process ended: ImportError: no such Keras."
    assert done.stdout.strip() == str([("fit", (page.FAILS, sentence))]), done.stderr
