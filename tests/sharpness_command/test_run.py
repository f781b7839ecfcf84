"""The command's figures beside the functions of the package on the same data."""

import re
import signal
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.sharpness.networks import dense, examples_for
from tests.sharpness_command.commands import (
    EXAMPLES,
    InterruptsAt,
    contents,
    loss,
    numbers,
    permuted,
    saved,
)
from tf_bdecay import sharpness
from tf_bdecay.sharpness import registry
from tf_bdecay.sharpness_command import run
from tf_bdecay.sharpness_command.run import main


@pytest.mark.quick_rows(1)
def test_every_measure_is_what_its_function_gives(files, tmp_path, capsys):
    _, x, y, arguments = files
    out = tmp_path / "out"
    assert main([*arguments, "--measures=all", f"--out={out}"]) == 0
    printed = capsys.readouterr().out
    assert {p.name for p in out.iterdir() if p.name != ".lock"} == {
        "settings.json", "result.json", "table.csv",
        "connectivity.png", "ratio.png", "spectrum.png", "layers.png",
    }  # fmt: skip
    data, found = permuted(x, y), numbers(out)["measures"]
    model = keras.models.load_model(tmp_path / "net.keras", compile=False)  # which relabels
    expected = {
        "C": sharpness.connectivity(model, loss(), data),
        "C_m": sharpness.connectivity(model, loss(), data, per_example=False, batch_size=10),
        "trace": sharpness.hessian_trace(model, loss(), data, num_probes=6),
        "eigenvalue": sharpness.hessian_top_eigenvalue(model, loss(), data),
        "spectrum": sharpness.hessian_spectrum(model, loss(), data, steps=5),
        "fisher_rao": sharpness.fisher_rao(model, loss(), data),
        "tangent": sharpness.connectivity_tangent_trace(model, loss(), data),
        "sam": sharpness.perturbation(model, loss(), data, kind="sam"),
        "asam": sharpness.perturbation(model, loss(), data, kind="asam"),
    }
    assert list(found) == list(expected) == list(registry.MEASURES)
    for name, result in expected.items():
        assert found[name]["title"] in printed
        assert found[name]["total"] == pytest.approx(result.total, rel=1e-5)
        for layer, value in result.by_layer.items():
            assert found[name]["by_layer"][layer]["value"] == pytest.approx(value, rel=1e-3)
    table = pd.read_csv(out / "table.csv")
    frames = pd.concat([r.to_pandas() for r in expected.values()], ignore_index=True)
    pd.testing.assert_frame_equal(table.drop(columns="asked"), frames, rtol=1e-3, atol=1e-7)
    assert table["asked"].unique().tolist() == list(expected)


def test_a_finished_measurement_is_printed_and_not_repeated(files, tmp_path, capsys):
    arguments = [*files[-1][:2], "--measures=C", f"--out={tmp_path / 'out'}"]
    assert main(arguments) == 0
    before, printed = contents(tmp_path / "out"), capsys.readouterr().out
    assert main(arguments) == 0
    again = capsys.readouterr().out
    assert "was finished before" in again and "Nothing was measured" in again
    assert (
        printed[printed.index("Connectivity sharpness C") :].splitlines()[:20]
        == (again[again.index("Connectivity sharpness C") :].splitlines()[:20])
    )
    assert contents(tmp_path / "out") == before


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a measurement, and the flags that give it."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    model = saved(folder / "net.keras", dense())
    x, y = examples_for(model, EXAMPLES)
    np.savez(folder / "data.npz", x=x.astype("float32"), y=y)
    arguments = [f"--model={folder / 'net.keras'}", f"--data={folder / 'data.npz'}"]
    # So little memory makes chunks of a few examples: there is something between first and last.
    arguments += ["--measures=C,trace,eigenvalue,spectrum,fisher_rao", "--memory_gb=4e-6"]
    arguments += ["--probes=6", "--steps=5"]
    assert main([*arguments, f"--out={folder / 'whole'}"]) == 0
    return folder / "whole", arguments


@pytest.mark.parametrize(
    "pattern, number, resumed",
    [
        ("C: 1 of", signal.SIGINT, ["C: goes on"]),
        ("trace: 3 of", signal.SIGTERM, ["C: was finished", "trace: goes on"]),
        ("fisher_rao: done", signal.SIGINT, ["fisher_rao: was finished"]),
        pytest.param(  # the last step, before it is done
            r"C: (\d+) of \1", signal.SIGINT, ["C: goes on"], marks=pytest.mark.slow
        ),
        pytest.param("eigenvalue: 4", signal.SIGINT, ["trace: was"], marks=pytest.mark.slow),
        pytest.param("spectrum: 6 of", signal.SIGINT, ["spectrum: goes"], marks=pytest.mark.slow),
    ],
)
@pytest.mark.quick_rows(1)
def test_the_same_command_goes_on_after_a_signal(
    uninterrupted, tmp_path, capsys, monkeypatch, pattern, number, resumed
):
    monkeypatch.setattr(run, "LINE_SECONDS", 0.0)
    whole, arguments = uninterrupted
    arguments = [*arguments, f"--out={tmp_path / 'cut'}"]
    assert main(arguments, Console(file=InterruptsAt(pattern, number))) == 128 + number
    assert not (tmp_path / "cut" / "result.json").exists()
    assert "run the same command again" in capsys.readouterr().err
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for line in resumed:
        assert line in printed
    assert numbers(tmp_path / "cut") == numbers(whole)
    assert not (tmp_path / "cut" / "partial").exists()


def test_training_mode_is_of_c_m(files, tmp_path):
    model, x, y, arguments = files
    out = tmp_path / "out"
    given = ["--measures=C_m", "--training", "--batch_size=10", f"--out={out}"]
    assert main([*arguments[:2], *given]) == 0
    expected = sharpness.connectivity(
        model, loss(), permuted(x, y), per_example=False, training=True, batch_size=10
    )
    assert numbers(out)["measures"]["C_m"]["total"] == pytest.approx(expected.total, rel=1e-5)


@pytest.mark.slow
def test_replicas_share_the_examples(files, tmp_path):
    arguments = [*files[-1][:2], "--measures=C,C_m,trace,fisher_rao", "--batch_size=10"]
    assert main([*arguments, f"--out={tmp_path / 'one'}"]) == 0
    subprocess.run(
        [
            *(sys.executable, "-m", "tf_bdecay.sharpness", *arguments),
            *("--strategy=mirrored", "--logical_devices=2", f"--out={tmp_path / 'two'}"),
        ],
        check=True,
        timeout=600,
    )
    one, two = (numbers(tmp_path / name)["measures"] for name in ("one", "two"))
    for name, each in one.items():
        assert two[name]["total"] == pytest.approx(each["total"], rel=1e-5)


@pytest.mark.parametrize(
    "error, code, sentence",
    [
        (ZeroDivisionError("by\n0"), 1, "not foreseen (ZeroDivisionError: by 0)"),
        (RecursionError("a" * 9_000), 1, "not foreseen (RecursionError: aaa"),
        (OSError(28, "No space left on device"), 1, "stops: [Errno 28] No space left on device"),
        (MemoryError("9 GB"), 1, "(MemoryError: 9 GB). Give fewer --examples"),
        (SystemExit(7), 1, "SystemExit(7) was raised"),
        (KeyboardInterrupt(), 130, "Interrupted. All that was finished is kept"),
    ],
)
def test_whatever_fails_is_one_bounded_sentence(capsys, monkeypatch, error, code, sentence):
    def fails(*arguments):
        raise error

    monkeypatch.setattr(run.subject, "find", fails)
    assert main(["--model=x"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line and len(line) < 2_100
    line = line.replace("--traceback shows where. ", "")
    assert main(["--model=x", "--traceback"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1] == line


def test_what_does_not_fit_into_memory_is_told_what_would(files, capsys, monkeypatch):
    import tensorflow as tf

    def fails(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    monkeypatch.setattr(registry.Measure, "run", fails)
    for more, sentence in (
        (["--measures=C", "--memory_gb=3"], "C does not fit into memory: .* such as 1.5, half"),
        (["--measures=C_m", "--training"], "a smaller --batch_size, such as 5. Received: 10"),
    ):
        arguments = [a for a in files[-1] if "C_m" in more[0] or "--b" not in a]
        arguments = [a for a in arguments if not a.startswith(("--probes", "--steps"))]
        assert main([*arguments, *more]) == 2
        error = capsys.readouterr().err
        assert re.search(sentence, error), error


@pytest.mark.parametrize("measure", ["C", "C_m", "trace"])
def test_the_example_that_is_not_finite_is_named_as_it_stands_in_the_data(
    files, tmp_path, capsys, measure
):
    _, x, y, arguments = files
    x[17, 0, 0, 0] = np.inf
    np.savez(tmp_path / "bad.npz", x=x, y=y)
    more = [f"--data={tmp_path / 'bad.npz'}", f"--measures={measure}", "--memory_gb=1e-3"]
    more += ["--batch_size=10"] * (measure == "C_m")
    assert main([arguments[0], *more]) == 2
    assert "Example 17, counted from 0, of " in capsys.readouterr().err


def test_a_signal_after_all_was_measured_finishes_the_files(files, tmp_path, capsys, monkeypatch):
    write = run.write_all

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return write(*arguments)

    monkeypatch.setattr(run, "write_all", interrupted)
    assert main([*files[-1][:2], "--measures=C", f"--out={tmp_path / 'out'}"]) == 130
    assert "All was finished before" in capsys.readouterr().err
    assert (tmp_path / "out" / "result.json").exists()
