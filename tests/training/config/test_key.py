"""Which values a single key accepts."""

import math

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.training.config import key

pytestmark = pytest.mark.any_backend

NUMBER = key.number(0.5, "a share", above=0, below=1)


@pytest.mark.parametrize(
    "of, right, wrong",
    [
        (key.count(1, "n"), [1, 7, 2**31 - 1], [0, 2**31, 1.0, True, "1", None]),
        (key.count(None, "n", least=0, optional=True, most=9), [0, 9, None], [-1, 10]),
        (NUMBER, [0.5, 1e-30], [0, 1, 1e-60, math.nan, math.inf, True, "0.5"]),
        (key.number(0.0, "x", most=2), [0, 2, 1.5], [-1e-9, 2.1, -math.inf]),
        (key.flag(True, "whether"), [True, False], [1, 0, "true", None]),
        (key.choice("a", "which", "a", "b"), ["a", "b"], ["c", "", 1]),
    ],
)
def test_values_are_right_or_a_sentence(of, right, wrong):
    for value in right:
        of.check("here", value)
    for value in wrong:
        with pytest.raises(BadInput, match="config.here"):
            of.check("here", value)


@pytest.mark.parametrize(
    "allows, right, wrong",
    [
        (key.is_name, ["a", "a b"], ["", " ", "a/b", "a\n", "x" * 101]),
        (key.is_path, ["a/b", "."], ["", " ", "a\0"]),
        (key.is_patterns, ["stem", "stem,stage1.*"], ["", "a,", "(", "a,["]),
        (key.is_by_role_or_path, ["gamma=0.5,head/.*=2"], ["", "gamma", "gamma=-1"]),
    ],
)
def test_what_text_may_say(allows, right, wrong):
    assert all(allows(text) for text in right)
    assert not any(allows(text) for text in wrong)


def test_a_number_that_float32_has_not_is_none():
    assert not math.isfinite(key.single(1e39)) and key.single(1e-60) == 0 and key.single(0.5) == 0.5
