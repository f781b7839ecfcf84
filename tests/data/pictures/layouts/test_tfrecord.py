"""TFRecords that others wrote are found by the names of their files."""

import json
import sys

import pytest

from tests.data import records as written
from tests.data.pictures import archive, folder
from tf_bdecay.data.pictures.layouts import tfrecord
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

PICTURES = [folder.picture(n, "JPEG") for n in range(6)]


def shard(numbers, synset=None, first=1):
    """A shard as of a TPU repository: labels from 1 on, of two classes."""
    content = b""
    for n in numbers:
        features = {
            "image/encoded": PICTURES[n],
            "image/class/label": n % 2 + first,
            "image/filename": b"%d.jpg" % n,
        }
        if synset:
            features["image/class/synset"] = synset[n % 2].encode()
        content += written.framed(written.example(features))
    return content


TPU = {
    "train-00000-of-00002": shard([0, 1, 2]),
    "train-00001-of-00002": shard([3]),
    "validation-00000-of-00001": shard([4, 5]),
}
ROWS = [(content, n % 2 + 1) for n, content in enumerate(PICTURES)]


@pytest.mark.parametrize("names", ["{}", "imagenet-{}", "{}.tfrecord", "deep"])
def test_records_are_found_by_their_names(tmp_path, names):
    if names == "deep":
        tree = {"train": {}, "validation": {}}
        for name, content in TPU.items():
            tree[name.split("-")[0]][name] = content
    else:
        tree = {names.format(name): content for name, content in TPU.items()}
    found = tfrecord.recognise(folder.write(tmp_path, {**tree, "synset_labels.txt": "a"}))
    assert found.layout == "TFRecords" and found.classes is None
    assert folder.contents(found.splits["train"]) == ROWS[:4]
    assert folder.contents(found.splits["validation"]) == ROWS[4:]


def test_one_file_is_a_training_split(tmp_path):
    for name in ("pictures.tfrecord", "train.tfrecords", "anything"):
        path = folder.write(tmp_path / name, shard([0, 1]))
        assert folder.contents(tfrecord.recognise(path).splits["train"]) == ROWS[:2]
    assert tfrecord.recognise(folder.write(tmp_path / "other", "text")) is None
    assert tfrecord.recognise(folder.write(tmp_path / "folder", {"a.txt": "text"})) is None


def prepared(lengths=("3", "1"), name="5.1.0"):
    def content(numbers):
        rows = [{"file_name": b"x", "image": PICTURES[n], "label": n % 2} for n in numbers]
        return b"".join(written.framed(written.example(row)) for row in rows)

    splits = [{"name": "train", "shardLengths": lengths, "numBytes": "9"}]
    return {
        name: {
            "dataset_info.json": json.dumps({"name": "pets", "splits": splits}),
            "features.json": "{}",
            "label.labels.txt": "ant\nbee\n",
            "pets-train.tfrecord-00000-of-00002": content([0, 1, 2]),
            "pets-train.tfrecord-00001-of-00002": content([3]),
            "pets-validation.tfrecord-00000-of-00001": content([4, 5]),
        }
    }


def test_a_prepared_set_is_found_from_its_folder_or_its_version(tmp_path):
    path = folder.write(tmp_path, prepared() | {"2.0.0": {"dataset_info.json": "{}"}})
    for source in (path, f"{path}/5.1.0"):
        found = tfrecord.recognise(source)
        assert found.layout == "TFRecords of tensorflow-datasets"
        assert found.classes == ("ant", "bee")
        rows = [(content, label - 1) for content, label in ROWS]
        assert folder.contents(found.splits["train"]) == rows[:4]
        assert folder.contents(found.splits["validation"]) == rows[4:]


def test_records_fewer_than_a_prepared_set_says_are_named(tmp_path):
    found = tfrecord.recognise(folder.write(tmp_path, prepared(("3", "2"))))
    assert "00001-of-00002 has 1 records, and should have 2" in found.layout
    with pytest.raises(BadInput, match="has 1 records, and should have 2"):
        found.splits["train"].read(4)


def test_a_damaged_shard_leaves_the_others(tmp_path):
    content = TPU["train-00000-of-00002"]
    tree = {**TPU, "train-00000-of-00002": content[:-9]}
    found = tfrecord.recognise(folder.write(tmp_path, tree))
    assert "train-00000-of-00002, record 2 is cut short" in found.layout
    records = found.splits["train"]
    assert [records.read(i) for i in (0, 1, 3)] == [PICTURES[n] for n in (0, 1, 3)]
    with pytest.raises(BadInput, match="train-00000-of-00002, record 2 is cut short"):
        records.read(2)


def test_names_of_classes_are_those_of_the_records(tmp_path):
    tree = {name: shard(range(4), ("n1", "n2")) for name in ("train-00000-of-00001",)}
    assert tfrecord.recognise(folder.write(tmp_path, tree)).classes == ("n1", "n2")
    tree = {"train-00000-of-00001": shard([0, 1], ("n1", "n2")) + shard([2, 3], ("n3", "n4"), 4)}
    assert tfrecord.recognise(folder.write(tmp_path, tree)).classes is None  # 1, 2, 4, 5


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"train-00001-of-00002": None}, r"All 2 shards of train must be in .* Missing: 1\. To"),
        ({"train-00000-of-00009": shard([0])}, r"one set of shards.*'train-\*-of-00002'"),
        ({"train-00000-of-00002": None, "train-00001-of-00002": None}, "no TFRecords to learn fr"),
        ({"classes.txt": "ant"}, "of the 1 classes .* labels from 1 to 2"),
        (
            {"train-00000-of-00002": shard([0], "ab"), "train-00001-of-00002": shard([2], "ba")},
            "A label must be of one class. Received for 1, in .*: 'a', 'b'",
        ),
    ],
    ids=range(5),
)
def test_what_is_wrong_is_named(tmp_path, changes, sentence):
    tree = {name: content for name, content in {**TPU, **changes}.items() if content is not None}
    with pytest.raises(BadInput, match=sentence):
        tfrecord.recognise(folder.write(tmp_path, tree))


@pytest.mark.parametrize("text", ["{", "[]", '{"splits": [{"name": "train"}]}'])
def test_a_broken_description_is_named(tmp_path, text):
    tree = prepared()
    tree["5.1.0"]["dataset_info.json"] = text
    with pytest.raises(BadInput, match="dataset_info.json must be as tensorflow-datasets writes"):
        tfrecord.recognise(folder.write(tmp_path, tree))


def test_checksums_are_asked_for_of_tfrecords_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    for content in ("", "text", archive.tar({"a.png": PICTURES[0]})):
        assert tfrecord.recognise(folder.write(tmp_path / "one", content)) is None
    with pytest.raises(BadInput, match="TFRecord needs google-crc32c, which is not installed"):
        tfrecord.recognise(folder.write(tmp_path / "one", shard([0])))
