"""Whole records of a file are found; a damaged one is named by its file and number."""

import gzip

import pytest

from tests.data import records as written
from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts import tfrecord_file
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

PICTURES = [folder.picture(n, "JPEG") for n in range(4)]
EXAMPLES = [
    written.example({"image/class/label": n + 1, "image/encoded": content, "image/height": 9})
    for n, content in enumerate(PICTURES)
]
FRAMED = [written.framed(example) for example in EXAMPLES]


def read(tmp_path, parts, count=None):
    path = folder.write(tmp_path / "train-0", b"".join(parts))
    shard = tfrecord_file.walk(path, count)
    return shard, tfrecord_file.Examples([shard])


def test_pictures_and_labels_are_found(tmp_path):
    shard, records = read(tmp_path, FRAMED, 4)
    assert shard.lost is None and not shard.damaged
    assert folder.contents(records) == [(content, n + 1) for n, content in enumerate(PICTURES)]
    assert records.where(2) == f"{tmp_path}/train-0, record 2"


def test_records_are_counted_in_their_own_file(tmp_path):
    paths = [folder.write(tmp_path / f"{n}", b"".join(FRAMED[: n + 1])) for n in range(3)]
    records = tfrecord_file.Examples([tfrecord_file.walk(path) for path in paths])
    places = [(n, record) for n in range(3) for record in range(n + 1)]
    for index, (n, record) in enumerate(places):
        assert records.where(index) == f"{paths[n]}, record {record}"
        assert records.read(index) == PICTURES[record]


@pytest.mark.parametrize("cut", [1, 4, 5, 100, len(FRAMED[2]) - 12, len(FRAMED[2]) - 5])
def test_a_cut_record_is_named_and_those_before_it_are_good(tmp_path, cut):
    shard, records = read(tmp_path, [*FRAMED[:2], FRAMED[2][:-cut]])
    assert "train-0, record 2 is cut short" in shard.lost
    assert [records.read(i) for i in range(2)] == PICTURES[:2]
    assert records.labels.tolist() == [1, 2, 2]
    with pytest.raises(BadInput, match=f"{tmp_path}/train-0, record 2 is cut short: fetch"):
        records.read(2)


@pytest.mark.parametrize("place", [60, -200, -1])
def test_a_wrong_checksum_is_named_and_the_others_are_good(tmp_path, place):
    broken = bytearray(FRAMED[1])
    broken[place] ^= 1
    _, records = read(tmp_path, [FRAMED[0], bytes(broken), *FRAMED[2:]])
    assert [records.read(i) for i in (0, 2, 3)] == [PICTURES[n] for n in (0, 2, 3)]
    with pytest.raises(BadInput, match="train-0, record 1 (has a wrong checksum|is damaged)"):
        records.read(1)


def test_a_wrong_length_is_named(tmp_path):
    broken = b"\1" + FRAMED[2][1:]
    shard, records = read(tmp_path, [*FRAMED[:2], broken, FRAMED[3]])
    assert len(records) == 3 and "record 2 has a length whose checksum is wrong" in shard.lost
    with pytest.raises(BadInput, match="train-0, record 2 has a length .* is lost"):
        records.read(2)


def test_a_record_that_is_no_example_is_named(tmp_path):
    _, records = read(tmp_path, [FRAMED[0], written.framed(b"no example"), FRAMED[2]])
    assert records.read(2) == PICTURES[2]
    with pytest.raises(BadInput, match="record 1 is damaged, or no tf.train.Example"):
        records.read(1)


def test_fewer_records_than_there_should_be_are_said(tmp_path):
    shard, records = read(tmp_path, FRAMED[:3], 5)
    assert "train-0 has 3 records, and should have 5" in shard.lost and len(records) == 4
    with pytest.raises(BadInput, match="has 3 records, and should have 5"):
        records.read(3)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "train-0 is empty: fetch it again"),
        (FRAMED[0][:9], "train-0, record 0 is cut short"),
        (b"something else altogether", "train-0, record 0 has a length whose checksum is wrong"),
        (gzip.compress(FRAMED[0]), "train-0 is compressed.*unpack it"),
        (written.framed(b"x"), "record 0 is damaged, or no tf.train.Example"),
        (
            written.framed(written.example({"x": 1, "label": 2})),
            "record 0 must have a feature image/encoded or image, of bytes. Received: 'x', 'label'",
        ),
        (
            written.framed(written.example({"image": b"", "label": b"dog"})),
            "must have a feature image/class/label or label, of a whole number",
        ),
    ],
    ids=range(7),
)
def test_a_file_without_pictures_is_refused(tmp_path, content, sentence):
    with pytest.raises(BadInput, match=sentence):
        read(tmp_path, [content])


def test_a_head_is_told_by_its_checksum():
    assert tfrecord_file.is_head(FRAMED[0][:12])
    assert not tfrecord_file.is_head(FRAMED[0][:11]) and not tfrecord_file.is_head(b"ten and two.")
