"""Measures by name run as the functions they stand for, and options reach the right ones."""

import inspect

import keras
import pytest

from tests.sharpness.networks import dense, examples_for
from tf_bdecay import sharpness
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import registry

MEASURES = registry.MEASURES
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
FAST = dict(probes=3, steps=3, spectrum_probes=1, batch_size=4, rho=0.01, seed=5)


@pytest.mark.parametrize("name", MEASURES)
def test_its_function_takes_what_it_is_given(name):
    measure = MEASURES[name]
    parameters = inspect.signature(getattr(sharpness, measure.function)).parameters
    asked = {*measure.fixed, *measure.options.values(), "session"}
    flexible = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert flexible or asked <= parameters.keys()
    assert measure.name == name and measure.doc


@pytest.mark.parametrize(
    "name, direct",
    [
        ("C", lambda *a: sharpness.connectivity(*a)),
        ("C_m", lambda *a: sharpness.connectivity(*a, per_example=False, batch_size=4)),
        ("trace", lambda *a: sharpness.hessian_trace(*a, num_probes=3, seed=5)),
        ("fisher_rao", lambda *a: sharpness.fisher_rao(*a)),
        ("asam", lambda *a: sharpness.perturbation(*a, kind="asam", rho=0.01)),
    ],
)
def test_a_name_is_its_function_with_the_options_that_are_its_own(name, direct):
    model = dense()
    given = model, LOSS, examples_for(model)
    found = MEASURES[name].run(*given, FAST)  # the other measures' options are passed over
    expected = direct(*given)
    assert type(found) is type(expected)
    assert found.shares.tolist() == expected.shares.tolist()


def test_names_in_their_own_order_and_once():
    def names(*asked):
        return [m.name for m in registry.chosen(asked)]

    assert names("trace", "C", "trace") == ["C", "trace"]
    assert names("all") == names("C", "all") == list(MEASURES)
    assert names(*registry.DEFAULT) == list(registry.DEFAULT)


@pytest.mark.parametrize(
    "asked, sentence",
    [(["tracee"], "Unknown measure 'tracee': did you mean 'trace'"), ([], "at least one measure")],
)
def test_names_that_are_none(asked, sentence):
    with pytest.raises(BadInput, match=sentence):
        registry.chosen(asked)


def check(measures, *options):
    chosen = registry.chosen(measures)
    return registry.check_options(chosen, dict.fromkeys(options, 1), lambda name: f"--{name}")


@pytest.mark.parametrize(
    "measures, options, sentence",
    [
        (["C"], ["probes"], "--probes is of trace, which the measures C leave out"),
        (["C"], ["rho"], "--rho is of sam and asam"),
        (["trace"], ["probs"], "Unknown option '--probs': did you mean '--probes'"),
        (["sam", "asam"], ["rho"], "--rho is a length in weight space for sam and a relative one"),
        (["all"], ["rho"], "one at a time"),
    ],
)
def test_options_that_mean_nothing_or_two_things(measures, options, sentence):
    with pytest.raises(BadInput, match=sentence):
        check(measures, *options)


def test_options_that_mean_one_thing():
    check(["sam", "trace"], "rho", "probes", "seed")
    check(["C"], "examples_at_once", "memory_gb", "training")  # which all take
    check(["all"])


@pytest.mark.parametrize("name", MEASURES)
def test_a_trial_is_one_step_and_changes_nothing(name):
    model, chunks = dense(), []
    x, y = examples_for(model)
    before = [v.numpy().tobytes() for v in model.variables]

    class Counts(keras.utils.PyDataset):
        num_batches = 1

        def __getitem__(self, index):
            chunks.append(index)
            return x, y

    options = {k: v for k, v in FAST.items() if k in MEASURES[name].options}
    MEASURES[name].check(model, LOSS, Counts(), options)
    assert 1 <= len(chunks) <= 3  # shapes, at the most the examples' number, and the step itself
    assert [v.numpy().tobytes() for v in model.variables] == before


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    "loss, change, sentence",
    [
        (LOSS, lambda x, y: (x[:, :2], y), "cannot take these examples"),
        (LOSS, lambda x, y: (x, y + 9), "label value of"),
        (LOSS, lambda x, y: (x, y[1:]), "as many examples as each other"),
        ("msee", lambda x, y: (x, y), "Unknown loss"),
    ],
)
@pytest.mark.quick_rows(2)
def test_a_trial_refuses_what_the_measurement_would(name, loss, change, sentence):
    model = dense()
    with pytest.raises(BadInput, match=sentence):
        MEASURES[name].check(model, loss, change(*examples_for(model)), {})


def test_a_trial_says_other_errors_in_a_sentence():
    def fails(y, outputs):
        raise RuntimeError("a bug of mine\nover lines")

    model = dense()
    with pytest.raises(BadInput, match="C cannot be measured: RuntimeError: a bug of mine.$"):
        MEASURES["C"].check(model, fails, examples_for(model), {})
