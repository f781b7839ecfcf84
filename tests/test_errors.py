"""What the checks accept and refuse; their sentences say what to do."""

import math
import pathlib
import string

import keras
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tf_bdecay import errors
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

OTHERS = [None, "1", b"1", [1], (), {}, 1j, object]  # neither flags nor numbers
NUMBERS = st.one_of(st.integers(-20, 20), st.floats(-20, 20), st.floats())
BOUNDS = st.one_of(st.none(), st.floats(-10, 10))


def sentence_of(check, *args, **kwargs):
    """The sentence of a refusal; None where nothing was refused."""
    try:
        assert check(*args, **kwargs) is None
    except BadInput as error:
        return str(error)
    return None


def check_sentence(sentence, name, value, of=""):
    """One line that names the argument, its owner, what would be right, and what came."""
    start = f"`{name}` of {of} must be " if of else f"`{name}` must be "
    assert sentence.startswith(start)
    assert sentence.endswith(f". Received: {name}={value!r}")
    assert "\n" not in sentence
    assert len(sentence) < 150 + len(repr(value))


@pytest.mark.parametrize(
    "error, line",
    [
        (ValueError("no such thing."), "no such thing"),
        (ValueError("\n one\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (KeyError("a"), "'a'"),
    ],
)
def test_the_first_line_of_an_error(error, line):
    assert errors.first_line(error) == line


def test_a_requirement():
    assert sentence_of(errors.require, True, "Unused.") is None
    assert sentence_of(errors.require, [0], "Unused.") is None
    for nothing in (False, None, [], 0):
        assert sentence_of(errors.require, nothing, "Give one.") == "Give one."


def test_bad_input_is_a_value_error():
    with pytest.raises(ValueError, match="^Give one.$"):
        errors.require(False, "Give one.")


def test_keras_does_not_bury_the_sentence_under_a_layers_arguments():
    class Refuses(keras.layers.Layer):
        def call(self, x):
            raise BadInput("Give another x.")

    with pytest.raises(BadInput, match="^Give another x.$"):
        Refuses()(np.ones((2, 3), "float32"))


@pytest.mark.parametrize("value", [True, False])
def test_flags(value):
    assert sentence_of(errors.check_flag, "jit", value) is None


@pytest.mark.parametrize("value", [*OTHERS, 0, 1, 1.0, math.nan, np.bool_(True)], ids=repr)
def test_what_is_no_flag(value):
    sentence = sentence_of(errors.check_flag, "jit", value, of="Lamb")
    check_sentence(sentence, "jit", value, of="Lamb")
    assert "True or False" in sentence


def test_paths():
    for value in ("folder", pathlib.Path("folder")):
        assert sentence_of(errors.check_path, "log_dir", value) is None
    for value in (3, None, b"folder"):
        sentence = sentence_of(errors.check_path, "log_dir", value, of="DecayLog")
        check_sentence(sentence, "log_dir", value, of="DecayLog")
        assert "a path" in sentence


@given(
    value=st.integers(-20, 20), least=st.integers(-10, 10), kind=st.sampled_from([int, np.int64])
)
@example(value=10**30, least=1, kind=int)
def test_counts(value, least, kind):
    sentence = sentence_of(errors.check_count, "epochs", kind(value), least=least)
    assert (sentence is None) == (value >= least)
    if sentence:
        check_sentence(sentence, "epochs", kind(value))
        assert f"a whole number >= {least}." in sentence


@pytest.mark.parametrize("value", [*OTHERS, True, False, 2.0, math.inf, math.nan], ids=repr)
def test_what_is_no_count(value):
    sentence = sentence_of(errors.check_count, "every", value, 0, "Watch", "a number of updates")
    check_sentence(sentence, "every", value, of="Watch")
    assert "a number of updates >= 0" in sentence


@given(value=NUMBERS, least=BOUNDS, above=BOUNDS, below=BOUNDS, most=BOUNDS)
@example(value=0.0, least=0.0, above=None, below=None, most=0.0)  # the ends that belong to it
@example(value=0.0, least=None, above=0.0, below=1.0, most=None)  # and those that do not
@example(value=1.0, least=None, above=0.0, below=1.0, most=None)
@example(value=math.nan, least=None, above=None, below=None, most=None)
@example(value=math.inf, least=None, above=None, below=None, most=None)
@example(value=-math.inf, least=None, above=None, below=None, most=None)
def test_numbers(value, least, above, below, most):
    given_bounds = {"least": least, "above": above, "below": below, "most": most}
    bounds = {name: bound for name, bound in given_bounds.items() if bound is not None}
    right = math.isfinite(value)
    words = []
    if above is not None:
        right, words = right and value > above, [f"> {above:g}"]
    else:
        lowest = 0.0 if least is None else least
        right, words = right and value >= lowest, [f">= {lowest:g}"]
    if below is not None:
        right, words = right and value < below, [*words, f"< {below:g}"]
    if most is not None:
        right, words = right and value <= most, [*words, f"<= {most:g}"]
    sentence = sentence_of(errors.check_number, "rate", value, of="Lamb", **bounds)
    assert (sentence is None) == right
    if sentence:
        check_sentence(sentence, "rate", value, of="Lamb")
        assert f"a number {' and '.join(words)}." in sentence


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), np.int32(3)], ids=repr)
def test_numbers_of_numpy(value):
    assert sentence_of(errors.check_number, "rate", value) is None


@pytest.mark.parametrize("value", [*OTHERS, True, False, np.ones(2)], ids=repr)
def test_what_is_no_number(value):
    check_sentence(sentence_of(errors.check_number, "rate", value), "rate", value)


NAMES = st.lists(
    st.text(string.ascii_lowercase + "_", min_size=4, max_size=12), min_size=1, unique=True
)


@given(names=NAMES, data=st.data())
def test_a_name_with_a_letter_too_few_is_near_its_own(names, data):
    name = data.draw(st.sampled_from(names))
    at = data.draw(st.integers(0, len(name) - 1))
    misspelt = name[:at] + name[at + 1 :]
    assume(misspelt not in names)
    guess = errors.nearest(misspelt, names)
    assert guess in names
    # It is the one that was meant, unless another is as near.
    assert len(set(guess) - set(misspelt)) <= 1 or guess == name
    sentence = str(errors.unknown("policy", misspelt, names))
    assert sentence.startswith(f"Unknown policy {misspelt!r}: did you mean {guess!r}? valid: ")
    assert sentence.endswith(f"{', '.join(names)}.")


@pytest.mark.parametrize(
    "name, valid, guess",
    [
        ("adaptiv", ["no_bias", "adaptive", "full"], "adaptive"),
        ("gama", ["kernel", "bias", "gamma", "beta"], "gamma"),
        ("--learing_rate", ["--seed", "--learning_rate", "--workdir"], "--learning_rate"),
        ("--sead", ["--seed", "--workdir"], "--seed"),
        ("zzz", ["no_bias", "adaptive"], None),
        ("nothing", ["label_smoothing", "seed"], None),
        ("--q", ["--seed", "--workdir"], None),  # what flags have in common makes none near
        (3, ["3d", "2d"], "3d"),
        ("mean", [], None),
    ],
)
def test_the_nearest(name, valid, guess):
    assert errors.nearest(name, valid) == guess


def test_an_unknown_name_with_nothing_near():
    sentence = str(errors.unknown("data set", "mnist", (name for name in ("digits", "cifar10"))))
    assert sentence == "Unknown data set 'mnist': valid: digits, cifar10."
