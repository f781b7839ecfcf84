"""Examples and records without TensorFlow equal bytes put together by hand."""

import pytest

from tests.data import records as written
from tf_bdecay.data import crc32c, tfrecords

pytestmark = pytest.mark.any_backend

FEATURES = {
    "image/class/label": 300,
    "image/encoded": bytes(range(256)) * 40,
    "image/object/bbox/xmin": (0.5, 1.0),
    "image/class/text": b"",
    "none": None,
    "negative": -1,
    "größe": 7,
}
FOUND = {k: v for k, v in FEATURES.items() if not isinstance(v, (tuple, type(None)))}


def features_of(example):
    """Dict of an example's features, as they are found in it."""
    found = tfrecords.places(lambda start, end: example[start:end], len(example))
    return {k: example[v] if isinstance(v, slice) else v for k, v in found.items()}


@pytest.mark.parametrize("packed", [True, False])
def test_features_are_those_that_were_written(packed):
    assert features_of(written.example(FEATURES, packed)) == FOUND
    assert features_of(written.example({})) == {}
    assert features_of(b"") == {}


def test_long_features_are_passed_over_unread():
    example, seen = written.example(FEATURES), []

    def read(start, end):
        seen.append(end - start)
        return example[start:end]

    found = tfrecords.places(read, len(example))
    assert example[found["image/encoded"]] == FEATURES["image/encoded"]
    assert {**found, "image/encoded": 0} == {
        **FOUND,
        "image/encoded": 0,
        "image/class/text": found["image/class/text"],
    }
    assert sum(seen) < len(example) / 2


@pytest.mark.parametrize("first", range(0, 2200, 37))
def test_a_feature_is_found_wherever_what_was_read_ends(first):
    features = {"first": bytes(first), "label": 12345, "second": bytes(3000), "last": 3}
    assert features_of(written.example(features)) == features


def test_every_cut_is_an_error_that_says_so():
    example = written.example(FEATURES)
    for length in [*range(1, 400), *range(len(example) - 400, len(example))]:
        with pytest.raises((ValueError, IndexError)):
            features_of(example[:length])


@pytest.mark.parametrize("content", [b"\x0b", b"\xff" * 30, b"text, no example", bytes(9)])
def test_what_is_no_example_is_an_error(content):
    with pytest.raises((ValueError, IndexError)):
        features_of(content)


@pytest.mark.parametrize("label", [0, 1, 127, 128, 1000, 2**40, -1])
def test_what_is_written_is_what_the_definition_says(label):
    features = {"image/encoded": bytes(range(200)), "label": label}
    example = tfrecords.written(features)
    assert example == written.example(features) and features_of(example) == features
    assert tfrecords.framed(example, crc32c.masked) == written.framed(example)
