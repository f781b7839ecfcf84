"""Evaluating saved weights gives what the run measured at its end."""

import io
import json
import types

import pytest
from rich.console import Console

from tests.training.small import network
from tf_bdecay.errors import BadInput
from tf_bdecay.training import evaluation
from tf_bdecay.training.run_folder import weights


@pytest.fixture
def finished(finished):
    """The session's run, which gets back the weights that a test exchanges."""
    made, _, _ = finished
    before = made.model.get_weights()
    yield finished
    made.model.set_weights(before)


def test_the_weights_of_a_run_give_its_result_again(finished, tmp_path):
    made, path, result = finished
    page = io.StringIO()
    console = Console(file=page, width=200)
    source = weights.find(path)
    found = evaluation.evaluate(made, source, tmp_path, console)
    measured = {name: value for name, value in result.items() if name.startswith("test_")}
    assert len(measured) == 6  # loss, top-1, top-5, by moving and by precise statistics
    assert {name: found[name] for name in measured} == pytest.approx(measured, rel=1e-5)
    assert {name.replace("validation", "test") for name in found} == set(measured)
    written = json.loads((tmp_path / evaluation.FILE).read_text())
    assert written == {"weights": str(source.file), "sha256": source.digest, **found}
    lines = page.getvalue().splitlines()
    assert lines[0] == f"Evaluated 12 variables of {path / 'model.keras'}."
    rows = [line.split() for line in lines if line.split()[:1] in (["test"], ["validation"])]
    assert [row[:3] for row in rows] == [
        ["test", "359", "moving"], ["test", "359", "precise"],
        ["validation", "144", "moving"], ["validation", "144", "precise"],
    ]  # fmt: skip
    assert rows[1][3:] == [
        f"{found['test_accuracy_precise']:.2%}",
        f"{found['test_top5_accuracy_precise']:.2%}",
        f"{found['test_loss_precise']:.4f}",
    ]


def test_it_is_the_weights_on_the_disk_that_are_evaluated(finished, tmp_path):
    made, path, result = finished
    network().save(tmp_path / "new.keras")  # of other, random weights
    found = evaluation.evaluate(made, weights.find(tmp_path / "new.keras"), None, _quiet())
    assert found["test_loss"] != pytest.approx(result["test_loss"], rel=1e-3)
    assert not (path / evaluation.FILE).exists()
    found = evaluation.evaluate(made, weights.find(path), None, _quiet())
    assert found["test_loss"] == pytest.approx(result["test_loss"], rel=1e-5)


def test_nothing_is_evaluated_with_a_new_head(finished, tmp_path):
    made, _, _ = finished
    network(classes=7).save(tmp_path / "other.keras")
    with pytest.raises(BadInput, match=r"head/kernel is \[8, 7\] there and \[8, 10\] here"):
        evaluation.evaluate(made, weights.find(tmp_path / "other.keras"), tmp_path, _quiet())
    assert not (tmp_path / evaluation.FILE).exists()


def _quiet():
    return Console(file=io.StringIO())


def test_of_smoothed_labels_the_table_fits_a_terminal():
    names = ("accuracy", "top5_accuracy", "loss", "crossentropy")
    found = {f"test_{name}{end}": 0.5 for name in names for end in ("", "_precise")}
    experiment = types.SimpleNamespace(
        config=types.SimpleNamespace(label_smoothing=0.1),
        images=types.SimpleNamespace(split=lambda name: range(10_000)),
    )
    page = io.StringIO()
    Console(file=page, width=80).print(evaluation._table(found, ["test"], experiment))
    rows = [line.split() for line in page.getvalue().splitlines() if "test" in line]
    shown = ["50.00%", "50.00%", "0.5000", "0.5000"]
    assert rows == [["test", "10,000", kind, *shown] for kind in ("moving", "precise")]
    assert "cross-entropy" in page.getvalue() and "statistics" in page.getvalue()
