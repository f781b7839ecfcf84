"""Behaviour that all kinds of records share."""

import numpy as np
import pytest

from tests.data.pictures.in_memory import InMemory
from tf_bdecay.data.pictures.records import Records

pytestmark = pytest.mark.any_backend


def test_labels_are_whole_numbers_and_count_the_records():
    records = InMemory([b"a", b"b"], [3, 1])
    assert len(records) == 2 and records.labels.dtype == np.int64
    assert records.read(1) == b"b"


def test_a_layout_must_say_how_it_reads_and_where():
    with pytest.raises(TypeError, match="read|where"):
        Records([0])
