import numpy as np
import pytest

from tf_bdecay.data.pictures.records import Found, Records

pytestmark = pytest.mark.any_backend


class Bytes(Records):
    def read(self, index):
        return b"%d" % index

    def where(self, index):
        return f"record {index}"


@pytest.mark.parametrize("labels", [[3, 1], np.array([3, 1], np.uint8), range(3, 0, -2)])
def test_labels_of_any_kind_are_counted(labels):
    records = Bytes(labels)
    assert len(records) == 2
    assert records.labels.dtype == np.int64
    assert records.labels.tolist() == [3, 1]


def test_a_layout_must_say_how_it_reads_and_where():
    with pytest.raises(TypeError, match="abstract"):
        Records([1])


def test_words_on_labels_are_each_finding_s_own():
    first, second = (Found("a folder", None, {}) for _ in range(2))
    first.label_words["train"] = "x"
    assert second.label_words == {}
