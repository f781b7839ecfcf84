"""Patterns name variables by their paths, and say so if they match none."""

import pytest

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend
PATHS = ["net/conv/kernel", "net/norm/gamma", "net/norm_1/gamma", "net/head/kernel"]


@pytest.mark.parametrize(
    "pattern, hits",
    [
        ("kernel", [0, 3]),
        ("norm/gamma", [1]),
        (r"norm\w*/gamma", [1, 2]),
        ("net/head/kernel", [3]),
        ("conv/kernel|head/.*", [0, 3]),  # both ways from a "/" on
        (".*", [0, 1, 2, 3]),
    ],
)
def test_a_pattern_matches_the_path_whole_or_from_a_slash_on(pattern, hits):
    assert patterns.matching(pattern, PATHS, "`roles`") == hits
    assert [i for i, path in enumerate(PATHS) if patterns.matches(pattern, path)] == hits


@pytest.mark.parametrize("pattern", ["gam", "orm/gamma", "net", "norm/gamma/"])
def test_one_that_matches_nothing_is_a_sentence_with_the_paths(pattern):
    with pytest.raises(BadInput, match="in `roles` matches no trainable variable.*net/conv/kernel"):
        patterns.matching(pattern, PATHS, "`roles`")


@pytest.mark.parametrize("pattern", ["norm[", "*", 3, None])
def test_what_is_no_regular_expression_is_a_sentence(pattern):
    with pytest.raises(BadInput, match="key of `roles` must be a regular expression. Received: "):
        patterns.check(pattern, "`roles`")


def test_numbers_are_floats_in_their_order():
    found = patterns.numbers({"b/.*": 2, "a": 0}, "rates", of="Lamb")
    assert list(found.items()) == [("b/.*", 2.0), ("a", 0.0)]
    assert all(isinstance(value, float) for value in found.values())


@pytest.mark.parametrize(
    "values, words",
    [
        ({"a": -1.0}, r"`rates\['a'\]` of Lamb must be a number >= 0"),
        ({"a": float("inf")}, "must be a number"),
        ({"a": float("nan")}, "must be a number"),
        ({"a": True}, "must be a number"),
        ({"a[": 1.0}, "key of `rates` of Lamb must be a regular expression"),
        ([("a", 1.0)], "must be a dict"),
    ],
)
def test_wrong_numbers_are_a_sentence(values, words):
    with pytest.raises(BadInput, match=words):
        patterns.numbers(values, "rates", of="Lamb")


def test_a_flag_s_text_is_a_dict():
    found = patterns.parse("gamma=0.5, norm.*/(?=b)beta=2,head/.*=0", "rates", "a config")
    assert list(found.items()) == [("gamma", 0.5), ("norm.*/(?=b)beta", 2.0), ("head/.*", 0.0)]


@pytest.mark.parametrize(
    "text", ["", "gamma", "gamma=", "=0.5", "gamma=x", "gamma=1,,", "gamma=1,gamma=2"]
)
def test_text_of_another_form_is_a_sentence(text):
    with pytest.raises(BadInput, match="`rates` of Lars must be numbers by role or path, each"):
        patterns.parse(text, "rates", "Lars")


@pytest.mark.parametrize("text", ["gamma=-1", "gamma=nan", "gamma=inf", "norm[=1"])
def test_text_with_wrong_numbers_is_refused(text):
    with pytest.raises(BadInput, match="`rates.*` of Lars must be"):
        patterns.parse(text, "rates", "Lars")
