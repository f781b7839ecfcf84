"""Prepared shards hold the same pictures, resume by shard, and reveal damage."""

import os

import numpy as np
import pytest
from PIL import Image

from tests.data.pictures import archive, folder, hard
from tf_bdecay.data.pictures import headers, layouts, plain, preparing
from tf_bdecay.data.pictures.layouts import tfrecord_file
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

SETTINGS = {"source": "there", "pictures": 2}


def prepared(tmp_path, tree, shorter=None, each=2):
    """Writes a tree of folders as shards, and opens both."""
    source = layouts.open_pictures(folder.write(tmp_path / "source", tree))
    to = str(tmp_path / "prepared")
    preparing.begin(to, SETTINGS, source)
    for split, records in source.splits.items():
        for path, indexes in preparing.shards(to, split, len(records), each):
            preparing.write_shard(path, records, indexes, shorter)
            preparing.verify(path, records.labels[indexes.start : indexes.stop])
    return source, layouts.open_pictures(to)


def test_pictures_labels_and_classes_are_those_of_the_source(tmp_path):
    tree = {"train": folder.split_of(3), "val": folder.split_of(1, seed=1)}
    source, found = prepared(tmp_path, tree)
    assert found.classes == source.classes and list(found.splits) == list(source.splits)
    for split, records in source.splits.items():
        assert folder.contents(found.splits[split]) == folder.contents(records)
    names = sorted(name for name in os.listdir(tmp_path / "prepared") if "train" in name)
    shards = [f"train-{n:05d}-of-00003" for n in range(3)]
    assert names == sorted(shards + [f"{name}.index" for name in shards])


def test_hard_pictures_are_plain_and_large_ones_smaller(tmp_path):
    large = hard.pixels(60, 90)
    turned = hard.saved(large, "JPEG", exif=hard.exif(6), quality=95)
    names = {"1.jpg": turned, "2.png": hard.saved(hard.pixels(20, 30, channels=4), "PNG")}
    _, found = prepared(tmp_path, {"ant": names}, shorter=40)
    first, second = (folder.decoded(found.splits["train"].read(i)) for i in range(2))
    assert first.shape == (60, 40, 3) and second.shape == (20, 30, 3)
    upright = Image.fromarray(np.rot90(large, -1)).resize((40, 60), Image.Resampling.LANCZOS)
    assert np.abs(first.astype(int) - np.asarray(upright)).mean() < 4
    np.testing.assert_array_equal(second, hard.pixels(20, 30, channels=4)[..., :3])
    _, untouched = prepared(tmp_path / "again", {"ant": names})
    content = untouched.splits["train"].read(0)
    assert headers.look(content)[2]
    np.testing.assert_array_equal(folder.decoded(content), np.asarray(plain.upright(turned)))


def test_a_run_that_was_ended_goes_on_with_the_shards_that_are_not_whole(tmp_path):
    source, found = prepared(tmp_path, folder.split_of(3))
    paths = [found.splits["train"].path(i) for i in (0, 2, 4)]
    expected = folder.contents(found.splits["train"])
    os.remove(tfrecord_file.index_of(paths[1]))  # ended between the two
    with open(paths[2], "r+b") as file:
        file.truncate(50)
    before = os.stat(paths[0]).st_mtime_ns
    preparing.begin(str(tmp_path / "prepared"), SETTINGS, source)
    for path, indexes in preparing.shards(str(tmp_path / "prepared"), "train", 6, 2):
        preparing.write_shard(path, source.splits["train"], indexes)
    assert os.stat(paths[0]).st_mtime_ns == before
    found = layouts.open_pictures(str(tmp_path / "prepared"))
    assert folder.contents(found.splits["train"]) == expected


def test_an_index_that_is_not_the_files_is_not_used(tmp_path):
    _, found = prepared(tmp_path, folder.split_of(1))
    path = found.splits["train"].path(0)
    walked = tfrecord_file.walk(path)
    assert tfrecord_file.read_index(path) == walked
    index = tfrecord_file.index_of(path)
    with open(index, "r+b") as file:
        file.seek(8)
        file.write(b"\xff")
    assert tfrecord_file.read_index(path) is None
    tfrecord_file.write_index(walked)
    with open(path, "ab") as file:
        file.write(b"more")
    assert tfrecord_file.read_index(path) is None
    os.remove(index)
    assert tfrecord_file.read_index(path) is None


def test_verification_finds_damage(tmp_path):
    source, found = prepared(tmp_path, folder.split_of(2))
    records, labels = found.splits["train"], source.splits["train"].labels
    path = records.path(0)
    with pytest.raises(BadInput, match="00000-of-00002 is not what its index says: remove it"):
        preparing.verify(path, labels[:2] + 1)
    with open(path, "r+b") as file:
        file.seek(-30, os.SEEK_END)
        byte = file.read(1)
        file.seek(-30, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(BadInput, match="00000-of-00002, record 1 has a wrong checksum"):
        preparing.verify(path, labels[:2])


def test_a_picture_that_is_none_is_named_and_its_shard_not_written(tmp_path):
    tree = {"ant": {"1.png": folder.picture(1), "2.png": b"text"}}
    with pytest.raises(BadInput, match="source/ant/2.png is no picture in a format"):
        prepared(tmp_path, tree)
    assert sorted(os.listdir(tmp_path / "prepared")) == ["classes.txt", "prepared.json"]


def test_a_folder_of_something_else_is_refused(tmp_path):
    found = layouts.open_pictures(folder.write(tmp_path / "source", folder.split_of(1)))
    preparing.begin(str(tmp_path / "to"), SETTINGS, found)
    preparing.begin(str(tmp_path / "to"), SETTINGS, found)
    with pytest.raises(BadInput, match="prepared in another way.*'pictures': 3.*'pictures': 2"):
        preparing.begin(str(tmp_path / "to"), {**SETTINGS, "pictures": 3}, found)
    folder.write(tmp_path / "other", {"a.txt": ""})
    with pytest.raises(BadInput, match="other must be empty or new"):
        preparing.begin(str(tmp_path / "other"), SETTINGS, found)


def refused(to, source, said):
    before = (to / "prepared.json").read_bytes(), (to / "classes.txt").read_bytes()
    with pytest.raises(BadInput, match="was prepared from other pictures: ") as caught:
        preparing.begin(str(to), SETTINGS, layouts.open_pictures(source))
    assert said in str(caught.value)
    assert before == ((to / "prepared.json").read_bytes(), (to / "classes.txt").read_bytes())


def test_classes_of_other_names_are_refused_though_the_labels_are_the_same(tmp_path):
    source, to = folder.write(tmp_path / "source", folder.split_of(2)), tmp_path / "to"
    preparing.begin(str(to), SETTINGS, layouts.open_pictures(source))
    os.rename(os.path.join(source, "ant"), os.path.join(source, "cow"))
    refused(to, source, "Received: classes 'bee', 'cow', and there: 'ant', 'bee'")


@pytest.mark.parametrize("pack", [lambda tree: tree, lambda tree: archive.tar(archive.flat(tree))])
def test_other_pictures_of_the_same_classes_are_refused(tmp_path, pack):
    to = tmp_path / "to"
    source = folder.write(tmp_path / "source.tar", pack(folder.split_of(2)))
    preparing.begin(str(to), SETTINGS, layouts.open_pictures(source))
    folder.write(source, pack(folder.split_of(2, seed=1)))
    refused(to, source, "labels, or names, sizes or times of the files, are no longer")
