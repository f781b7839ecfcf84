"""tools/benchmark.py: one sentence for what it cannot use; ratios to the first alternative."""

import pathlib
import re
import subprocess
import sys
import time

import pytest

from tools.benchmarks import timing

ROOT = pathlib.Path(__file__).resolve().parents[2]


def benchmark(*arguments):
    return subprocess.run(
        [sys.executable, "tools/benchmark.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "Name a benchmark: optimizer, "),
        (["optimiser"], "Unknown benchmark 'optimiser': did you mean 'optimizer'?"),
        (["optimizer", "--repeat=3"], "did you mean '--repeats'?"),
        (["optimizer", "--repeats=0"], "--repeats=0"),
        (["ghost_batch_norm", "--problems=8x33"], "Unknown problem '8x33': did you mean '8x32'?"),
        (["optimizer", "--json=/no/such/folder/a.json"], "'/no/such/folder/a.json'"),
        (["optimizer", "--json=tools"], "Received: 'tools'"),
        (["optimizer", "--document=/no/such/page.md"], "--document must be a file"),
        (["input", "--addons_python=/no/python"], "--addons_python must be a Python"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments, said):
    done = benchmark(*arguments)
    assert done.returncode == 2, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert re.fullmatch(r"benchmark\.py: .*", sentence) and said in sentence
    assert done.stdout == ""


def test_rows_have_the_order_of_the_cases_and_ratios_to_the_first():
    calls = []

    def case(name, seconds):
        def call():
            calls.append(name)
            time.sleep(seconds)

        return call

    rows = timing.interleave("nap", {"b": case("b", 0.02), "a": case("a", 0.04)}, 3)
    assert calls == ["b", "b", "a", "a"] + ["b", "a"] * 3  # turns, after the first calls
    assert [(row.problem, row.name) for row in rows] == [("nap", "b"), ("nap", "a")]
    assert rows[0].ratio == 1
    assert 1 < rows[1].ratio < 10
    assert rows[1].ratio == pytest.approx(rows[1].median_ms / rows[0].median_ms)
    for row in rows:
        assert 0 < row.low_ms <= row.median_ms <= row.high_ms
        assert row.first_s > 0
