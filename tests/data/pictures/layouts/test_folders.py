"""Trees of folders, beside the dict of pictures that was written into them."""

import os
import pathlib

import pytest

from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts import folders
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

TRAIN, OTHER = folder.split_of(3), folder.split_of(2, seed=1)


def opened(path, tree):
    return folders.recognise(folder.write(path, tree))


def in_order(split):
    """What a split must give, from the dict that was written."""
    return [
        (split[name][file], label)
        for label, name in enumerate(sorted(split))
        for file in sorted(split[name])
    ]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_splits_give_what_was_written(tmp_path, val):
    found = opened(tmp_path, {"test": TRAIN, "train": TRAIN, val: OTHER})
    assert found.classes == ("ant", "bee")
    assert list(found.splits) == ["train", "validation", "test"]
    assert folder.contents(found.splits["train"]) == in_order(TRAIN)
    assert folder.contents(found.splits["validation"]) == in_order(OTHER)
    assert found.layout == "a folder of class folders"


def test_class_folders_alone_are_for_training(tmp_path):
    found = opened(tmp_path, TRAIN)
    assert list(found.splits) == ["train"]
    assert folder.contents(found.splits["train"]) == in_order(TRAIN)


def test_a_class_may_be_called_as_a_split(tmp_path):
    found = opened(tmp_path, {"train": TRAIN["ant"], "bus": TRAIN["bee"]})
    assert found.classes == ("bus", "train")


def test_equal_names_at_different_places_do_not_merge(tmp_path):
    picture = {"1.png": folder.picture(1)}
    found = opened(tmp_path, {"b": {"x": picture, "y": {"z": picture}}, "a": {"x": picture}})
    assert found.classes == ("a/x", "b/x", "b/y/z")
    assert found.splits["train"].labels.tolist() == [0, 1, 2]


def test_classes_are_in_the_order_of_sorted(tmp_path):
    names = ["n10", "n9", "B", "a", "Ä", "a b", "a-", "ab"]
    found = opened(tmp_path, {name: {"1.png": folder.picture(1)} for name in names})
    assert list(found.classes) == sorted(names)


def test_what_systems_leave_behind_is_no_class_and_no_picture(tmp_path):
    left = {".ipynb_checkpoints": TRAIN["ant"], "__MACOSX": {"._a.png": b"1"}, ".DS_Store": b"2"}
    left |= {"Thumbs.db": b"3", "desktop.ini": b"4", "._ant_00.png": b"5"}
    tree = {name: split | left for name, split in TRAIN.items()} | left
    found = opened(tmp_path, {"train": tree, **left})
    assert found.classes == ("ant", "bee")
    assert folder.contents(found.splits["train"]) == in_order(TRAIN)
    assert found.layout == "a folder of class folders"


def test_what_is_passed_over_is_said(tmp_path):
    notes = {f"note{i}.txt": "" for i in range(6)}
    tree = {"train": {**TRAIN, "ant": TRAIN["ant"] | notes}, "Annotations": {"1.xml": ""}}
    layout = opened(tmp_path, tree).layout
    assert "'train/ant/note4.txt' and 1 more" in layout
    assert "'Annotations'" in layout


def test_suffixes_in_any_case(tmp_path):
    names = ["a.JPEG", "b.Jpg", "c.PNG", "d.tif", "e.TIFF", "f.webp", "g.gif", "h.bmp", "i.pgm"]
    found = opened(tmp_path, {"ant": {name: name for name in names}})
    assert [content.decode() for content, _ in folder.contents(found.splits["train"])] == names


def test_names_outside_ascii_and_outside_utf8(tmp_path):
    strange = os.fsdecode(b"caf\xe9")
    tree = {"蟻": {"雪.png": b"1", "Ω.png": b"23"}, strange: {f"{strange}.png": b"456"}}
    found = opened(tmp_path, tree)
    assert found.classes == tuple(sorted(tree))
    records = found.splits["train"]
    assert [content for content, _ in folder.contents(records)] == [b"456", b"23", b"1"]
    where = [records.where(i) for i in range(3)]
    assert where[1].endswith("蟻/Ω.png")
    assert where[0].endswith(r"caf\xe9/caf\xe9.png")
    "".join(where).encode()  # can be printed


def test_links_are_followed_and_circles_are_not(tmp_path):
    store = folder.write(tmp_path / "store", {"ant": TRAIN["ant"], "one.png": folder.picture(7)})
    path = folder.write(tmp_path / "set", {"bee": {}})
    os.symlink(f"{store}/ant", f"{path}/ant")
    os.symlink(f"{store}/one.png", f"{path}/bee/one.png")
    os.symlink(path, f"{path}/bee/loop")
    os.symlink(tmp_path, f"{path}/bee/above")
    found = folders.recognise(path)
    assert found.classes == ("ant", "bee")
    assert found.splits["train"].read(3) == folder.picture(7)
    assert "in a circle: 'bee/above', 'bee/loop'" in found.layout


def test_a_link_to_nothing_is_named(tmp_path):
    path = folder.write(tmp_path, TRAIN)
    os.symlink("nowhere", f"{path}/ant/z.png")
    with pytest.raises(BadInput, match=r"a link to nothing, .*ant/z\.png"):
        folders.recognise(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    path = folder.write(tmp_path, TRAIN)
    os.mkfifo(f"{path}/ant/pipe.png")
    found = folders.recognise(path)
    assert len(found.splits["train"]) == 6
    assert "pipe.png" in found.layout


def test_another_layout_is_left_to_others(tmp_path):
    assert opened(tmp_path / "a.npz", b"x") is None
    assert opened(tmp_path / "shards", {"train-0.tar": b"x", "empty": {}}) is None


EMPTY = {"train": {**TRAIN, "cat": {}, "dog": {"dog.heic": b""}}, "val": OTHER}


@pytest.mark.parametrize(
    "tree, words",
    [
        (EMPTY, r"needs a picture.*Received in \S+train: 'cat', 'dog' .* \.jpg "),
        ({"train": TRAIN, "val": {**OTHER, "ox": OTHER["ant"]}}, "'ox' in validation alone"),
        ({"train": TRAIN, "val": {"ant": OTHER["ant"]}}, "'bee' in train alone"),
        (
            {"train": dict.fromkeys("abcdefgh", TRAIN["ant"]), "val": {"a": OTHER["ant"]}},
            "'b', 'c', 'd', 'e', 'f' and 2 more in train alone",
        ),
        ({"val": OTHER, "test": OTHER}, "no folder train/.*Received: '(val', 'test|test', 'val)'"),
        ({"train": TRAIN, "val": {}}, "val holds no picture"),
        ({"train": TRAIN, "val": OTHER, "valid": OTHER}, "two folders of the validation split"),
        ({"train": TRAIN["ant"], "val": OTHER}, r"must be in class folders below .*train\."),
        ({"train": {**TRAIN, "x.png": b""}}, "Received there, in none: 'x.png'"),
        (TRAIN["ant"], "must be in class folders"),
        (
            {"train": TRAIN, "val": OTHER["ant"] | {"x": {}}, "val_labels.txt": ""},
            "needs a picture: .*: 'x'",
        ),
        ({"train": TRAIN, "val": OTHER["ant"]}, "are in no class folders.*validation_labels.txt"),
    ],
)
def test_a_tree_that_cannot_be_right_is_refused(tmp_path, tree, words):
    with pytest.raises(BadInput, match=words):
        opened(tmp_path, tree)


def test_pictures_without_labels_are_no_test_split(tmp_path):
    found = opened(tmp_path, {"train": TRAIN, "test": OTHER["ant"]})
    assert list(found.splits) == ["train"]
    assert "test left out, since its pictures have no labels" in found.layout


def test_a_flat_split_is_labelled_by_a_file(tmp_path):
    flat = {"2.png": folder.picture(2), "1.png": folder.picture(1)}
    tree = {"train": TRAIN, "val": flat, "val_labels.txt": "1.png bee\n2.png ant\n"}
    found = opened(tmp_path, tree)
    assert folder.contents(found.splits["validation"]) == [(flat["1.png"], 1), (flat["2.png"], 0)]
    assert "val_labels.txt" in found.label_words["validation"]
    assert found.layout == "a folder of class folders"


def test_a_flat_split_needs_every_class_too(tmp_path):
    tree = {"train": TRAIN, "val": {"1.png": b"1"}, "val_labels.txt": "1.png bee\n"}
    with pytest.raises(BadInput, match="'ant' in train alone"):
        opened(tmp_path, tree)


def test_as_tiny_imagenet_has_it(tmp_path):
    train = {name: {"images": split, f"{name}.txt": ""} for name, split in TRAIN.items()}
    val = {"images": {"val_0.JPEG": b"0", "val_1.JPEG": b"1"}}
    val["val_annotations.txt"] = "val_0.JPEG\tbee\t0\t32\t44\t62\nval_1.JPEG\tant\t5\t5\t9\t9\n"
    found = opened(tmp_path, {"train": train, "val": val, "wnids.txt": "bee\nant\n"})
    assert found.classes == ("ant/images", "bee/images")
    assert folder.contents(found.splits["validation"]) == [(b"0", 1), (b"1", 0)]


def test_few_descriptors_are_enough_for_thousands_of_files(tmp_path):
    import resource

    names = {f"{i:04d}.png": str(i) for i in range(1500)}
    path = folder.write(tmp_path, {"ant": names, "bee": names})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before + 20, 64), limits[1]))
    try:
        records = folders.recognise(path).splits["train"]
        contents = [int(content) for content, _ in folder.contents(records)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert contents == [*range(1500), *range(1500)]


def test_relative_paths_and_a_slash_at_the_end(tmp_path, monkeypatch):
    folder.write(tmp_path / "set", {"train": TRAIN, "val": OTHER})
    monkeypatch.chdir(tmp_path)
    for path in ("set/", "set", "./set"):
        found = folders.recognise(path)
        assert folder.contents(found.splits["validation"]) == in_order(OTHER)
    assert pathlib.Path(found.splits["train"].where(0)).exists()
