"""WebDataset shards: samples are grouped by key; faults are named by shard and key."""

import json

import pytest

from tests.data.pictures import archive, folder
from tf_bdecay.data.pictures.layouts import open_pictures, webdataset
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

PICTURES = [folder.picture(n) for n in range(6)]


def samples(numbers, kind="cls"):
    members = {}
    for n in numbers:
        label = n % 3
        members[f"{n:05d}.png"] = PICTURES[n]
        members[f"{n:05d}.{kind}"] = (
            f"{label}\n".encode() if kind == "cls" else json.dumps({"label": label}).encode()
        )
    return archive.tar(members)


@pytest.mark.parametrize("kind", ["cls", "json"])
@pytest.mark.parametrize("place", ["{}-{:06d}.tar", "imagenet1k-{}-{:04d}.tar", "{}/{}.tar"])
def test_samples_are_those_of_the_shards(tmp_path, kind, place):
    tree = {
        place.format("train", 0): samples([0, 1, 2], kind),
        place.format("train", 1): samples([3, 4], kind),
        place.format("val", 0): samples([5], kind),
        "classes.txt": "ant\nbee\ncow\n",
    }
    for name in tree:
        (tmp_path / name).parent.mkdir(exist_ok=True)
    found = open_pictures(folder.write(tmp_path, tree))  # not as tar
    assert found.layout == "WebDataset shards" and found.classes == ("ant", "bee", "cow")
    rows = [(content, n % 3) for n, content in enumerate(PICTURES)]
    assert folder.contents(found.splits["train"]) == rows[:5]
    assert folder.contents(found.splits["validation"]) == rows[5:]
    path = tmp_path / place.format("train", 1)
    assert found.splits["train"].where(4) == f"{path}: 00004.png"


def test_a_key_ends_at_the_first_dot_of_the_name(tmp_path):
    members = {
        "v1.0/a.left.png": b"one",
        "v1.0/a.cls": b"4",
        "v1.0/a.txt": b"",
        "v1.0/b.cls": b"5",
        "v1.0/b.JPG": b"two",
        "readme.md": b"",
    }
    found = webdataset.recognise(folder.write(tmp_path / "x.tar", archive.tar(members)))
    assert found.classes is None
    assert folder.contents(found.splits["train"]) == [(b"one", 4), (b"two", 5)]


def test_a_cut_shard_leaves_the_others(tmp_path):
    whole = samples([0, 1, 2])
    cut = whole[: whole.index(PICTURES[2]) + 9]
    path = folder.write(tmp_path, {"train-0.tar": cut, "train-1.tar": samples([3, 4])})
    found = webdataset.recognise(path)
    records = found.splits["train"]
    assert "train-0.tar: 00002.png is cut short" in found.layout
    assert [records.read(i) for i in (0, 1, 3, 4)] == [PICTURES[n] for n in (0, 1, 3, 4)]
    with pytest.raises(BadInput, match="train-0.tar: 00002.png is cut short, and what came after"):
        records.read(2)


def test_missing_numbers_are_said(tmp_path):
    tree = {f"train-00{n}.tar": samples([n]) for n in (0, 1, 3, 4)}
    assert webdataset.recognise(folder.write(tmp_path, tree)).layout == (
        "WebDataset shards; no shards of these numbers: 2"
    )


@pytest.mark.parametrize(
    "members, sentence",
    [
        ({"b.png": b"x"}, "x.tar: b must have a label, a .cls or a .json. Received: 'b.png'"),
        ({"b.cls": b"1"}, "x.tar: b must have one picture. Received: 'b.cls'"),
        ({"b.png": b"", "b.jpg": b"", "b.cls": b"1"}, "b must have one picture.*'b.png', 'b.jpg'"),
        ({"b.png": b"x", "b.cls": b"dog"}, r"x.tar: b.cls must have a whole number.*b'dog'"),
        ({"b.png": b"x", "b.json": b"{}"}, r'b.json must have a whole number under "label"'),
        ({"b.png": b"x", "b.json": b'{"label": "dog"}'}, "b.json must have a whole number"),
        ({"b.png": b"x", "b.json": b"[1"}, "b.json must have a whole number"),
        ({"b.png": b"x", "b.json": b'{"label": 1}', "b.cls": b"2"}, "one label.*'cls': 2"),
    ],
    ids=range(8),
)
def test_what_is_wrong_with_a_sample_is_named(tmp_path, members, sentence):
    content = archive.tar({"a.png": b"x", "a.cls": b"0", **members})
    with pytest.raises(BadInput, match=sentence):
        webdataset.recognise(folder.write(tmp_path / "x.tar", content))


def test_labels_must_be_of_the_classes_that_are_named(tmp_path):
    tree = {"train-0.tar": samples(range(6)), "classes.txt": "ant\nbee"}
    with pytest.raises(BadInput, match=r"of the 2 classes .* labels from 0 to 2"):
        webdataset.recognise(folder.write(tmp_path, tree))


def test_a_split_to_learn_from_is_needed(tmp_path):
    with pytest.raises(BadInput, match="no shard to learn from.*'validation'"):
        webdataset.recognise(folder.write(tmp_path, {"val-0.tar": samples([0])}))
