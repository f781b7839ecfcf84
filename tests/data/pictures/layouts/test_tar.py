"""Archives give the same pictures as folders, and faults in them are named."""

import pytest

from tests.data.pictures import archive, folder
from tf_bdecay.data.pictures.layouts import folders, tar
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

TRAIN, VAL = folder.split_of(3), folder.split_of(2, seed=1)
DEEP = {"indoor": folder.split_of(2), "outdoor": folder.split_of(1, seed=2)}


def packed(tree):
    return archive.tar(dict(reversed(archive.flat(tree).items())))  # in another order than names'


def one_a_class(tree):
    return {f"{name}.tar": archive.tar(below) for name, below in tree.items()}


@pytest.mark.parametrize(
    "tree, source",
    [
        ({"set.tar": packed({"train": TRAIN, "val": VAL})}, "set.tar"),
        ({"set.tar": packed({"set": {"train": TRAIN, "val": VAL}})}, "set.tar"),
        ({"set.tar": packed({"a": {"b": {"train": TRAIN, "valid": VAL}}})}, ""),
        ({"train.tar": packed(TRAIN), "val.tar": packed(VAL)}, ""),
        ({"train.tar": packed({"train": TRAIN}), "val.tar": packed({"val": VAL})}, ""),
        ({"train.tar": packed({"x": TRAIN}), "val.tar": packed(VAL)}, ""),
        ({"train.tar": archive.tar(one_a_class(TRAIN)), "val.tar": packed(VAL)}, ""),
        ({"train": one_a_class(TRAIN), "val": one_a_class(VAL)}, ""),
        ({"train": one_a_class(TRAIN), "val.tar": packed(VAL), "train.txt": ""}, ""),
    ],
    ids=range(9),
)
def test_pictures_are_those_of_the_folders(tmp_path, tree, source):
    if "val.tar" in tree and "train" in tree:
        tree = {**tree, "val": {"val.tar": tree.pop("val.tar")}}
    expected = folders.recognise(folder.write(tmp_path / "folders", {"train": TRAIN, "val": VAL}))
    found = tar.recognise(folder.write(tmp_path / "tars", tree) + (source and f"/{source}"))
    assert found.classes == expected.classes == ("ant", "bee")
    assert list(found.splits) == ["train", "validation"]
    for split, records in expected.splits.items():
        assert folder.contents(found.splits[split]) == folder.contents(records)


def test_classes_are_paths_below_their_split(tmp_path):
    path = folder.write(tmp_path / "set.tar", packed({"train": DEEP}))
    found = tar.recognise(path)
    assert found.classes == ("indoor/ant", "indoor/bee", "outdoor/ant", "outdoor/bee")
    assert found.splits.keys() == {"train"} and found.layout == "a tar of class folders"
    assert found.splits["train"].labels.tolist() == [0, 0, 1, 1, 2, 3]


def test_the_original_archives_of_imagenet(tmp_path):
    flat = {f"ILSVRC2012_val_{n}.JPEG": folder.picture(n, "JPEG") for n in range(4)}
    lines = [f"{name} {'bee' if n % 2 else 'ant'}" for n, name in enumerate(flat)]
    tree = {
        "ILSVRC2012_img_train.tar": archive.tar(one_a_class(TRAIN)),
        "ILSVRC2012_img_train_t3.tar": archive.tar(one_a_class(TRAIN)),
        "ILSVRC2012_img_val.tar": archive.tar(flat),
        "val_labels.txt": "\n".join(lines),
    }
    found = tar.recognise(folder.write(tmp_path, tree))
    assert found.layout.startswith("a tar of tars, one a class")
    assert len(found.splits["train"]) == 6
    assert folder.contents(found.splits["validation"]) == [
        (content, n % 2) for n, content in enumerate(flat.values())
    ]
    assert "val_labels.txt" in found.label_words["validation"]
    train = found.splits["train"]
    assert train.where(0) == f"{tmp_path}/ILSVRC2012_img_train.tar: ant.tar: ant_00.png"


def test_a_flat_validation_needs_labels_and_a_flat_test_is_left_out(tmp_path):
    tree = {"train.tar": packed(TRAIN), "test.tar": archive.tar(VAL["ant"])}
    found = tar.recognise(folder.write(tmp_path, tree))
    assert found.splits.keys() == {"train"} and "test.tar left out" in found.layout
    assert found.layout.startswith("a tar of class folders")  # train.tar's, not test.tar's
    folder.write(tmp_path, {"val.tar": archive.tar(VAL["ant"])})
    with pytest.raises(BadInput, match=r"val\.tar are in no class folders.*val.*_labels\.txt"):
        tar.recognise(str(tmp_path))


def test_of_a_name_that_is_there_twice_the_last_counts(tmp_path):
    members = [("ant/1.png", b"old"), ("bee/1.png", b"bee"), ("ant/1.png", b"new")]
    records = tar.recognise(folder.write(tmp_path / "x.tar", archive.tar(members))).splits["train"]
    assert folder.contents(records) == [(b"new", 0), (b"bee", 1)]


def test_a_cut_archive_gives_what_is_whole_and_names_what_is_lost(tmp_path):
    members = archive.flat({"ant": TRAIN["ant"], "bee": TRAIN["bee"]})
    content = archive.tar(members)
    end = content.index(TRAIN["bee"]["bee_02.png"]) + 20
    path = folder.write(tmp_path / "train.tar", content[:end])
    found = tar.recognise(path)
    records = found.splits["train"]
    assert "train.tar: bee/bee_02.png is cut short" in found.layout
    assert records.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert [records.read(i) for i in range(5)] == list(members.values())[:5]
    with pytest.raises(BadInput, match="train.tar: bee/bee_02.png is cut short, and what came"):
        records.read(5)


def test_a_cut_tar_of_tars_does_not_lose_silently(tmp_path):
    content = archive.tar(one_a_class(folder.split_of(2, ("ant", "bee", "cow"))))
    end = content.index(b"cow.tar") + 512 + 300
    found = tar.recognise(folder.write(tmp_path / "train.tar", content[:end]))
    records = found.splits["train"]
    assert found.classes == ("ant", "bee") and len(records) == 5
    with pytest.raises(BadInput, match="train.tar: cow.tar is cut short"):
        records.read(4)


@pytest.mark.parametrize(
    "tree, sentence",
    [
        ({"ant/1.png": b"x", "bee": None}, "Every class folder needs a picture.*x.tar: bee"),
        ({"ant/1.png": b"x", "2.png": b"x"}, "in class folders. Received, in none.*x.tar: 2.png"),
        ({"1.png": b"x", "2.png": b"x"}, "in class folders in .*x.tar.*'1.png', '2.png'"),
        ({"ant/a.txt": b"x"}, "x.tar holds no picture"),
        ({"val/ant/1.png": b"x"}, "no archive of pictures to learn from.*'validation'"),
        (
            {"train/ant/1.png": b"x", "train/bee/1.png": b"x", "val/ant/1.png": b"x"},
            "same classes.*'bee' in train alone",
        ),
        ({"ant.tar": archive.tar({"1.png": b"x"}), "bee/1.png": b"x"}, "not both.*bee/1.png"),
        ({"ant.tar": archive.tar({"1.txt": b"x"})}, "x.tar: ant.tar holds no picture"),
        ({"ant.tar": b"no tar"}, "x.tar: ant.tar is no tar archive"),
    ],
    ids=range(9),
)
def test_what_is_wrong_is_named(tmp_path, tree, sentence):
    path = folder.write(tmp_path / "x.tar", archive.tar(tree))
    with pytest.raises(BadInput, match=sentence):
        tar.recognise(path)


def test_what_is_no_picture_is_said(tmp_path):
    members = {"ant/1.png": b"x", "ant/a.txt": b"x", "readme": b""}
    found = tar.recognise(folder.write(tmp_path / "x.tar", archive.tar(members)))
    assert "passed over" in found.layout and "ant/a.txt" in found.layout
    assert tar.recognise(folder.write(tmp_path / "x.txt", "no archive")) is None
