"""The same pictures through every layout are the arrays that were written."""

import os
import pathlib

import numpy as np
import pytest

from tests.data import records as written
from tests.data.pictures import archive, folder, hub
from tf_bdecay.data.pictures import layouts
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def test_class_folders_are_opened(tmp_path, monkeypatch):
    path = folder.write(tmp_path / "set", folder.split_of(2))
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (path, pathlib.Path(path), "~/set"):
        assert len(layouts.open_pictures(source).splits["train"]) == 4


@pytest.fixture
def pictures():
    """Dict of split to six arrays with their labels, three of each class, in order of class."""
    return {
        split: [(folder.pixels([seed, i], (9, 13)), i // 3) for i in range(6)]
        for seed, split in enumerate(("train", "validation"))
    }


def as_tree(pictures):
    tree = {split: {"ant": {}, "bee": {}} for split in pictures}
    for split, rows in pictures.items():
        for i, (pixels, label) in enumerate(rows):
            tree[split]["ant" if label == 0 else "bee"][f"{i}.png"] = folder.encoded(pixels)
    return tree


def as_folders(path, pictures):
    return folder.write(path, as_tree(pictures))


def as_flat_validation(path, pictures):
    as_folders(path, {"train": pictures["train"]})
    rows = pictures["validation"]
    flat = {f"{i}.png": folder.encoded(pixels) for i, (pixels, _) in enumerate(rows)}
    lines = [f"{i}.png,{('ant', 'bee')[label]}" for i, (_, label) in enumerate(rows)]
    return folder.write(path, {"validation": flat, "labels.csv": "\n".join(lines)})


def as_parquet(path, pictures):
    for split, rows in pictures.items():
        images = [folder.encoded(pixels) for pixels, _ in rows]
        table = hub.table(images, [label for _, label in rows], ["ant", "bee"])
        hub.write(path, table, split, shards=2)
    return path


def as_tar(path, pictures):
    tree = archive.flat(as_tree(pictures), "set")
    return folder.write(f"{path}.tar", archive.tar(tree))


def as_tar_of_tars(path, pictures):
    for split, classes in as_tree(pictures).items():
        inner = {f"{name}.tar": archive.tar(below) for name, below in classes.items()}
        folder.write(path, {f"{split}.tar": archive.tar(inner)})
    return path


def as_webdataset(path, pictures):
    for split, rows in pictures.items():
        for shard in range(2):
            members = {}
            for i, (pixels, label) in list(enumerate(rows))[3 * shard : 3 * shard + 3]:
                members |= {f"{i}.png": folder.encoded(pixels), f"{i}.cls": b"%d" % label}
            folder.write(path, {f"{split}-{shard:06d}.tar": archive.tar(members)})
    return folder.write(path, {"classes.txt": "ant\nbee\n"})


def as_tfrecords(path, pictures):
    for split, rows in pictures.items():
        for shard in range(2):
            examples = [
                {"image/encoded": folder.encoded(pixels), "image/class/label": label}
                for pixels, label in rows[3 * shard : 3 * shard + 3]
            ]
            content = b"".join(written.framed(written.example(one)) for one in examples)
            folder.write(path, {f"{split}-{shard:05d}-of-00002": content})
    return folder.write(path, {"classes.txt": "ant\nbee\n"})


def as_npz(path, pictures):
    arrays = {}
    for split, rows in pictures.items():
        arrays[f"x_{split}"] = np.stack([pixels for pixels, _ in rows])
        arrays[f"y_{split}"] = np.array(["ant", "bee"])[[label for _, label in rows]]
    np.savez(f"{path}.npz", **arrays)
    return f"{path}.npz"


@pytest.mark.parametrize(
    "write",
    [
        as_folders,
        as_flat_validation,
        as_tar,
        as_tar_of_tars,
        as_webdataset,
        as_tfrecords,
        as_parquet,
        as_npz,
    ],
)
def test_the_same_pictures_come_out_of_every_layout(tmp_path, pictures, write):
    found = layouts.open_pictures(write(tmp_path / "set", pictures))
    assert found.classes == ("ant", "bee")
    assert found.splits.keys() == pictures.keys()
    for split, rows in pictures.items():
        for (content, label), (pixels, expected) in zip(
            folder.contents(found.splits[split]), rows, strict=True
        ):
            assert label == expected
            np.testing.assert_array_equal(folder.decoded(content), pixels)
            assert write is as_npz or content == folder.encoded(pixels)


def test_what_no_layout_knows_is_refused_with_all_that_was_looked_for(tmp_path):
    path = folder.write(tmp_path, {"notes": {"a.txt": ""}})
    with pytest.raises(BadInput, match="Looked for: .*folders of pictures"):
        layouts.open_pictures(path)
    with pytest.raises(BadInput, match=r"a\.txt\. Looked for: "):
        layouts.open_pictures(f"{path}/notes/a.txt")


def test_nothing_there(tmp_path):
    with pytest.raises(BadInput, match=rf"nothing at \S+/x/y.* of the path is {tmp_path}$"):
        layouts.open_pictures(tmp_path / "x" / "y")


@pytest.mark.parametrize("source", [None, 3, "", b""])
def test_no_path(source):
    with pytest.raises(BadInput, match="must be the path of a folder or a file. Received: source="):
        layouts.open_pictures(source)


ONE = written.framed(written.example({"image/encoded": folder.picture(1), "image/class/label": 0}))
TREE = {"train": folder.split_of(1)}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize(
    "tree, shut",
    [
        (TREE, "train"),
        (TREE, "train/bee"),
        ({**TREE, "val": TREE["train"]["ant"], "val_labels.txt": ""}, "val_labels.txt"),
        ({"train.tar": archive.tar(archive.flat(TREE["train"]))}, "train.tar"),
        ({"train-00000-of-00001": ONE}, "train-00000-of-00001"),
        ({"train-00000-of-00001": ONE, "classes.txt": "ant"}, "classes.txt"),
    ],
)
def test_what_cannot_be_read_is_named_in_every_layout(tmp_path, tree, shut):
    path = folder.write(tmp_path, tree)
    os.chmod(f"{path}/{shut}", 0)
    try:
        with pytest.raises(BadInput, match=f"{path}/{shut} cannot be read: Permission denied"):
            layouts.open_pictures(path)
    finally:
        os.chmod(f"{path}/{shut}", 0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path):
    os.chmod(tmp_path, 0)
    try:
        with pytest.raises(BadInput, match="no permission"):
            layouts.open_pictures(tmp_path)
    finally:
        os.chmod(tmp_path, 0o700)
