"""The folder of results: which run owns it, and what damage to one of its files costs."""

import json

import numpy as np
import pytest
from rich.console import Console

from tests.sharpness.networks import convolutional
from tests.sharpness_command.commands import (
    InterruptsAt,
    contents,
    numbers,
    saved,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness_command import run
from tf_bdecay.sharpness_command.folder import Folder
from tf_bdecay.sharpness_command.run import main


def test_a_damaged_partial_result_starts_that_measure_again(files, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "LINE_SECONDS", 0.0)
    arguments = [*files[-1][:2], "--measures=trace", "--probes=6", f"--out={tmp_path / 'out'}"]
    assert main(arguments, Console(file=InterruptsAt("trace: 3 of"))) == 130
    (tmp_path / "out" / "partial" / "trace.npz").write_bytes(b"half a file")
    assert main(arguments) == 0
    assert numbers(tmp_path / "out")["measures"]["trace"]["probes"] == 6


def test_another_command_in_the_same_folder_is_refused(files, tmp_path, capsys):
    arguments = [*files[-1][:2], f"--out={tmp_path / 'out'}"]
    assert main([*arguments, "--measures=C_m", "--batch_size=10"]) == 0
    before = contents(tmp_path / "out")
    for other, why in (
        (["--measures=C"], r"measures (C_m there, C here)"),
        (["--measures=C_m", "--batch_size=20"], "batch_size (10 there, 20 here)"),
        (["--measures=C_m", "--batch_size=10", "--examples=20"], "examples (default there, 20"),
    ):
        assert main([*arguments, *other]) == 2
        assert why in capsys.readouterr().err
    saved(tmp_path / "net.keras", convolutional(epsilon=0.1))
    assert main([*arguments, "--measures=C_m", "--batch_size=10"]) == 2
    assert "weights (" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    assert main([*files[-1][:2], f"--out={tmp_path / 'mine'}"]) == 2
    assert "is not empty and holds no measurement" in capsys.readouterr().err


def test_two_processes_in_one_folder(tmp_path):
    with Folder(tmp_path / "out", {}).open():
        other = Folder(tmp_path / "out", {})
        with pytest.raises(BadInput, match="in use by another process"), other.open():
            pass
    with other.open():
        pass


def test_by_default_every_command_has_a_folder_of_its_own(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 0, 1):
        assert main([*files[-1][:2], "--measures=C_m", f"--seed={seed}"]) == 0
    assert len(list((tmp_path / "sharpness").glob("net-*"))) == 2
    assert capsys.readouterr().out.count("was finished before") == 1


# Files that a stranger may have written.

STRANGE = ["", "{", "[1, 2]", "3", "null", '{"measures": 3}', "[" * 100_000, '{"measures": {}}']
STRANGE += [
    '{"measures": {"C": null}}',
    '{"measures": {"C": {"title": 3}}}',
    '{"measures": {"C": {"title": "a", "measure": "C", "training": false, "total": "many"}}}',
]


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: text[:20])
def test_a_result_that_is_not_ours_is_refused_in_a_sentence(tmp_path, text):
    settings = {"measures": ["C"]}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(BadInput, match="result.json .*choose another --out"):
        assert Folder(tmp_path, settings).result


@pytest.mark.parametrize(
    "settings",
    [*STRANGE[:5], '{"measures": 3, "seed": {"a": [1]}}', '{"seed": [null, 3]}', '{"\\ud800": 1}'],
)
def test_settings_that_are_not_ours_are_refused_in_a_sentence(tmp_path, settings):
    (tmp_path / "settings.json").write_text(settings)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(BadInput, match="choose another --out") as error:
        Folder(tmp_path, {"measures": ["C"], "seed": 0})
    assert len(str(error.value)) < 1_500


@pytest.mark.parametrize("name", ["settings.json", "result.json", "table.csv"])
def test_a_folder_in_a_files_place_is_refused_before_anything_is_measured(tmp_path, name):
    if name != "settings.json":
        (tmp_path / "settings.json").write_text("{}")
    (tmp_path / name).mkdir()
    with pytest.raises(BadInput, match="choose another"):
        Folder(tmp_path, {})


def result(total=1.0):
    cells = {"Total": {"value": total, "standard_error": None}}
    levels = {f"by_{level}": cells for level in ("variable", "layer", "kind")}
    return {"title": "t", "measure": "T", "training": False, "total": total, **levels}


def test_what_is_kept_comes_back_and_nothing_else(tmp_path):
    folder = Folder(tmp_path, {"measures": ["trace"], "seed": 0})
    state = {"rows": np.ones((2, 3)), "seconds": 1.5}
    with folder.open():
        folder.keep_measured("trace", result())
        folder.keep_state("C", state)
        assert folder.measured("trace") == result()
        np.testing.assert_array_equal(folder.state("C")["rows"], state["rows"])
        other = Folder(tmp_path, folder.settings)
        other.settings["seed"] = 1
        assert other.measured("trace") is None and other.state("C") is None
        partial = tmp_path / "partial"
        (partial / "C_m.npz").write_bytes((partial / "C.npz").read_bytes())
        assert folder.state("C_m") is None
        np.savez(partial / "C.npz", rows=np.ones((5, 1)), seconds="many")
        assert folder.state("C") is None
        for text in (*STRANGE, json.dumps(result(2.0)), json.dumps({"digest": 3, "result": 4})):
            (partial / "trace.json").write_text(text)
            assert folder.measured("trace") is None


@pytest.mark.parametrize("existing", [False, True])
def test_what_was_refused_leaves_no_claim(tmp_path, existing):
    path = tmp_path / "a" / "out"
    if existing:
        path.mkdir(parents=True)
    with pytest.raises(BadInput), Folder(path, {"seed": 0}).open():
        raise BadInput("refused")
    assert path.exists() == existing and (tmp_path / "a").exists() == existing
    assert not existing or not list(path.iterdir())
    with Folder(path, {"seed": 1}).open():
        pass


def test_what_was_finished_before_a_refusal_is_kept_for_other_measures(tmp_path):
    asked = {"measures": ["trace", "fisher_rao"], "seed": 0}
    with pytest.raises(BadInput, match="refused"), Folder(tmp_path, asked).open():
        Folder(tmp_path, asked).keep_measured("trace", result())
        raise BadInput("refused")
    again = Folder(tmp_path, {"measures": ["trace"], "seed": 0})
    assert again.measured("trace") == result()
    with pytest.raises(BadInput, match="seed .0 there, 1 here"):
        Folder(tmp_path, {"measures": ["trace"], "seed": 1})


def test_a_refused_command_leaves_its_out_to_the_next(files, tmp_path, capsys):
    out = f"--out={tmp_path / 'out'}"
    assert main([*files[-1][:2], "--measures=C", "--memory_gb=1e-9", out]) == 2
    assert "more than the memory budget" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*files[-1][:2], "--measures=C", out]) == 0
