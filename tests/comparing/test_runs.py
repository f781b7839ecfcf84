"""What is read from the folders of runs, and what the table says about them."""

import pytest

from tests.comparing import made
from tf_bdecay.comparing import runs
from tf_bdecay.errors import BadInput


def test_the_table_has_what_differs_and_what_came_out(tmp_path):
    _, layers = made.run(tmp_path / "one")
    made.run(tmp_path / "two", seed=1, variant="none", layers=False, finished=False)
    columns, rows = runs.rows(runs.read([tmp_path / "one", tmp_path / "two"]))
    one, two = (dict(zip(columns, row, strict=True)) for row in rows)
    assert "decay.beta" not in columns and "experiment" not in columns
    assert (one["run"], one["variant"], one["seed"]) == ("one", "adaptive", "0")
    assert (one["epochs done"], one["updates"], one["test loss"]) == ("3", "12", "0.2500")
    assert (one["accuracy"], one["evaluated by"]) == ("90.00%", "test, precise")
    last = layers[layers["update"] == 12]["r"].median()
    assert one["r at the end"] == f"{last:.3g}"
    assert one["decay on"] == "37.5%"
    assert two["run"] == "two (not finished)"
    assert (two["test loss"], two["decay on"], two["r at the end"]) == ("-", "-", "-")


def test_decay_was_on_in_a_share_of_the_updates_that_were_done(tmp_path):
    """What the run reports or, before it ends, the mean over its epochs by updates that count."""
    made.run(tmp_path / "one", finished=False)
    made.run(tmp_path / "two")
    one, two = map(runs.decay_on, runs.read([tmp_path / "one", tmp_path / "two"]))
    assert one == pytest.approx((2 * 0.1 + 4 * 0.2 + 4 * 0.3) / 10)  # two of the first are skipped
    assert two == 0.375


PLAIN = "test cross-entropy, labels not smoothed"


@pytest.mark.parametrize(
    "smoothings, column, values",
    [
        ((0.0, 0.0), "test loss", ("0.2500", "0.2500")),
        ((0.1, 0.1), "test loss of labels smoothed by 0.1", ("0.2500", "0.2500")),
        ((0.0, 0.1), PLAIN, ("0.2500", "0.1500")),
        ((0.1, 0.2), PLAIN, ("0.1500", "0.0500")),
    ],
)
def test_losses_that_stand_side_by_side_can_be_compared(tmp_path, smoothings, column, values):
    for i, smoothing in enumerate(smoothings):
        made.run(tmp_path / f"{i}", smoothing=smoothing)
    columns, rows = runs.rows(runs.read([tmp_path / "0", tmp_path / "1"]))
    (found,) = [name for name in columns if name.startswith(("test loss", "test cross"))]
    assert found == column
    assert tuple(row[columns.index(column)] for row in rows) == values


def test_a_smoothed_run_that_kept_no_crossentropy_has_none_to_compare(tmp_path):
    made.run(tmp_path / "one")
    made.run(tmp_path / "two", smoothing=0.1, finished=False)
    read = runs.read([tmp_path / "one", tmp_path / "two"])
    del read[1].metrics["crossentropy"]
    read[1] = read[1]._replace(result={"test_loss": 0.25})
    columns, rows = runs.rows(read)
    assert rows[1][columns.index(PLAIN)] == "-"
    assert runs.common_loss(read).curve(read[1]).isna().all()


def test_keys_in_which_runs_differ_are_those_that_all_have(tmp_path):
    made.run(tmp_path / "one")
    made.run(tmp_path / "two")
    read = runs.read([tmp_path / "one", tmp_path / "two"])
    assert runs.differences(read) == {}
    read[1].config.update({"decay.policy": "none", "decay.beta": 2.0})
    assert runs.differences(read) == {"decay.beta": [1.0, 2.0]}


def test_folders_named_alike_are_called_by_their_paths(tmp_path):
    paths = [tmp_path / "x" / "run", tmp_path / "y" / "run"]
    for path in paths:
        made.run(path)
    assert [run.name for run in runs.read(paths)] == [str(path) for path in paths]


def test_updates_become_epochs(tmp_path):
    made.run(tmp_path / "one", per_epoch=4)
    made.run(tmp_path / "two", per_epoch=7)
    read = runs.read([tmp_path / "one", tmp_path / "two"])
    assert [run.updates_per_epoch for run in read] == [4, 7]


@pytest.mark.parametrize(
    "paths, said",
    [
        (["one"], "Name two runs or more. Received: 1"),
        (["one", "one"], "is named twice"),
        (["one", "nothing"], "nothing is no run's folder: it has no config.json"),
        (["one", "x" * 4000], "is no run's folder"),
        (["one", "begun"], "has no epoch that has ended yet"),
        (["one", "strange"], "metrics.csv is no table of a run: it lacks loss"),
        (["one", "broken"], "config.json is damaged .*: name another run.$"),
        (["one", "lost"], "metrics.csv is damaged .*: name another run.$"),
    ],
)
def test_what_is_no_run_is_a_sentence(tmp_path, monkeypatch, paths, said):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "begun", "strange", "broken", "lost"):
        made.run(tmp_path / name)
    (tmp_path / "begun" / "metrics.csv").write_text("epoch,update,loss\n")
    (tmp_path / "strange" / "metrics.csv").write_text("epoch,update\n1,2\n")
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "lost" / "metrics.csv").unlink()
    with pytest.raises(BadInput, match=said) as caught:
        runs.read(paths)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "file, row, said",
    [
        ("metrics.csv", "2", "metrics.csv is damaged .row 4 is '2'.: name another run"),
        ("metrics.csv", "3,12,0.3", "row 4 is '3,12,0.3'"),
        ("metrics.csv", ",12,0.3,0.5,0.5,0.3,2", "epoch must be >= 1 everywhere"),
        ("metrics.csv", "3,x,0.3,0.5,0.5", "row 4 is '3,x,0.3,0.5,0.5'"),
        ("metrics.csv", "3,12,low,0.5,0.5,0.3,2", "metrics.csv is damaged .loss is 'low'"),
        ("layers.csv", "12,c,much,1", "layers.csv is damaged .r is 'much'"),
        ("layers.csv", "12,c,0.5,", "decay_on must be >= 0 everywhere"),
    ],
)
def test_a_damaged_table_is_a_sentence_with_its_name(tmp_path, file, row, said):
    for name in ("one", "two"):
        made.run(tmp_path / name)
    path = tmp_path / "two" / file
    *rows, _ = path.read_text().splitlines()
    path.write_text("\n".join([*rows, row, ""]))
    with pytest.raises(BadInput, match=said) as caught:
        runs.read([tmp_path / "one", tmp_path / "two"])
    assert "\n" not in str(caught.value)


def test_what_a_kill_left_of_a_row_is_left_out(tmp_path):
    for name in ("one", "two"):
        made.run(tmp_path / name)
    with open(tmp_path / "two" / "metrics.csv", "a") as file:
        file.write("4,16,0.2")
    one, two = runs.read([tmp_path / "one", tmp_path / "two"])
    assert two.metrics["epoch"].tolist() == one.metrics["epoch"].tolist() == [1, 2, 3]
