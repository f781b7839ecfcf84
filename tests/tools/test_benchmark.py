"""tools/benchmark.py: one sentence for wrong input, and ratios to the first alternative."""

import json
import pathlib
import re
import types

import pytest
import tensorflow as tf

import tf_bdecay
from tests.processes import ended
from tf_bdecay.errors import BadInput
from tools.benchmarks import document, kernels, processes, timing, variables

ROOT = pathlib.Path(__file__).resolve().parents[2]


def benchmark(*arguments):
    return ended(["tools/benchmark.py", *arguments], timeout=1200)


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
@pytest.mark.quick_rows(3)
def test_what_cannot_be_used_is_one_sentence(arguments, said):
    done = benchmark(*arguments)
    assert done.returncode == 2, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert re.fullmatch(r"benchmark\.py: .*", sentence) and said in sentence
    assert done.stdout == ""


def test_rows_have_the_order_of_the_cases_and_ratios_to_the_first(monkeypatch):
    calls, clock = [], [0.0]
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=lambda: clock[0]))

    def case(name, *seconds):
        left = iter(seconds)

        def call():
            calls.append(name)
            clock[0] += next(left)

        return call

    cases = {"b": case("b", 1, 16, 2, 2, 8), "a": case("a", 3, 16, 4, 5, 7)}
    rows = timing.interleave("nap", cases, 3)
    assert calls == ["b", "b", "a", "a"] + ["b", "a"] * 3  # turns, after the first calls
    assert rows == [
        timing.Row("nap", "b", 1.0, 2e3, 2e3, 5e3, 1, {}),
        timing.Row("nap", "a", 2.5, 5e3, 4.5e3, 6e3, 3, {}),
    ]


def row(name, median=1.0, first=1.0, **figures):
    return timing.Row("nap", name, median, median, median, median, first, figures)


def test_a_goal_is_a_ratio_of_two_rows_of_its_problem():
    rows = [row("a", 2.0, 10.0), row("b", 3.0, 4.0), timing.Row("other", "a", 1, 9, 9, 9, 9)]
    assert timing.Goal("faster", "nap", "b", "a", 1.0).ratio(rows) == 1.5
    assert timing.Goal("sooner", "nap", "b", "a", 1.0, "first_s").ratio(rows) == 0.4
    assert timing.Goal("not run", "nap", "c", "a", 1.0).ratio(rows) is None


def test_memory_has_no_times():
    first = timing.of_megabytes("m", "a", 200.0, [])
    second = timing.of_megabytes("m", "b", 300.0, [first])
    assert (first.ratio, second.ratio) == (1, 1.5)
    assert timing.cells(second) == ("m", "b", "1.50", "", "", "", "300 MB")


def test_the_page_and_its_json_have_every_row(tmp_path):
    rows = [row("a", 2.0), row("b", 3.0, images=12_345.6)]
    goals = [(timing.Goal("faster", "nap", "b", "a", 1.0), 1.5)]
    page = tmp_path / "page.md"
    document.write(
        page, {"naps": ("Naps, side by side.\n\nHow long.\n", rows)}, goals, "python nap.py"
    )
    text = page.read_text()
    assert "made by `python nap.py`" in text
    assert "`page.json`" in text
    assert "## naps\n\nNaps, side by side.\n\nHow long.\n" in text
    assert "| faster | 1 | 1.5 | no |" in text
    assert "12,346 images" in text
    found = json.loads((tmp_path / "page.json").read_text())["rows"]
    assert [(r["name"], r["median_ms"]) for r in found] == [("a", 2.0), ("b", 3.0)]


def test_operations_are_counted_through_calls_and_compiled_ones_are_one():
    variable = tf.Variable([1.0, 2.0])

    @tf.function(jit_compile=True, autograph=False)
    def compiled(x):
        return tf.reduce_sum(tf.exp(x) * x)

    @tf.function(autograph=False)
    def inner(x):
        return tf.exp(x) + compiled(x)  # 2 and the call

    @tf.function(autograph=False)
    def update():
        variable.assign(inner(variable))  # 1

    assert kernels.count(update) == {"graph ops": 4, "of them XLA calls": 1}


def test_a_kernel_is_what_runs_by_itself():
    """Under XLA for GPUs fusions have several results, and a branch is a computation of its own."""
    assert kernels.instructions(HLO) == 4  # the fusion, the reduction, the conditional, the copy


HLO = """\
HloModule update, is_scheduled=true

%fused_multiply.1 (param_0: f32[4]) -> (f32[4], f32[4]) {
  %param_0 = f32[4]{0} parameter(0)
  %multiply.1 = f32[4]{0} multiply(%param_0, %param_0)
  ROOT %tuple.1 = (f32[4]{0}, f32[4]{0}) tuple(%multiply.1, %param_0)
}

%region_0.2 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add.1 = f32[] add(%a, %b)
}

%branch_1 (arg: (f32[4])) -> f32[4] {
  %arg = (f32[4]{0}) parameter(0)
  %get-tuple-element.9 = f32[4]{0} get-tuple-element(%arg), index=0
  ROOT %copy.1 = f32[4]{0} copy(%get-tuple-element.9)
}

ENTRY %main.7 (x: f32[4], p: pred[]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %p = pred[] parameter(1)
  %both = (f32[4]{0}, /*index=1*/f32[4]{0}) fusion(%x), kind=kLoop, calls=%fused_multiply.1
  %square = f32[4]{0} get-tuple-element(%both), index=0
  %zero = f32[] constant(0)
  %sum = f32[] reduce(%square, %zero), dimensions={0}, to_apply=%region_0.2
  %args = (f32[4]{0}) tuple(%square)
  ROOT %cond = f32[4]{0} conditional(%p, %args, %args), branch_computations={%branch_1, %branch_1}
}
"""


@pytest.mark.slow
def test_a_case_of_another_process_takes_its_turns():
    case = processes.Case("peers", {"problem": "tiny", "peer": "optax"})
    rows = timing.interleave("tiny", {"optax": case}, 2)
    case.close()
    assert rows[0].median_ms > 0 and rows[0].figures["MB at most"] > 100


def test_a_process_that_ends_early_is_one_sentence():
    with pytest.raises(BadInput, match="ended early: peers"):
        processes.Case("peers", {"problem": "tiny", "peer": "optax"}, "/bin/false")


def test_the_lists_are_the_networks():
    model = tf_bdecay.models.resnet18()
    ours = sorted(shape for _, shape in variables.resnet18())
    assert ours == sorted(tuple(v.shape) for v in model.trainable_variables)
    millions = {name: variables.parameters(make()) / 1e6 for name, make in variables.LISTS.items()}
    assert round(millions["resnet50d"], 1) == 25.6
    assert round(millions["vit_b"], 1) == 86.6
    assert round(millions["bert_large"]) == 335
    for name, make in variables.LISTS.items():
        assert len({path for path, _ in make()}) == len(make()), name
