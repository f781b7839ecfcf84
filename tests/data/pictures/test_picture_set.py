"""A set of pictures in files, and how one picture is read."""

import pytest

from tests.data.pictures.in_memory import jpeg, picture_set_of
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def test_every_fault_is_found():
    split = picture_set_of(6).train
    split.records.contents[1], split.records.contents[4] = b"text", jpeg(4)[:99]
    first, second = (fault for fault in split.faults() if fault)
    assert [fault is None for fault in split.faults()] == [True, False, True, True, False, True]
    assert first.startswith("memory/1 is no picture") and second.startswith("memory/4 is cut short")


def test_a_split_that_is_not_there():
    with pytest.raises(BadInput, match="memory has no validation split"):
        picture_set_of().split("validation")
    with pytest.raises(BadInput, match="Unknown split 'training'"):
        picture_set_of().split("training")
