"""Splits, classes and labels that are read from folders of pictures."""

import pytest

from tests.data.pictures.in_memory import jpeg
from tf_bdecay.data.pictures import loading
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def write(folder, splits=("",), classes=("cat", "dog"), count=5):
    """Class folders of JPEGs, and the contents by path."""
    seed = 0
    for split in splits:
        for name in classes:
            for number in range(count):
                path = folder / split / name / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(jpeg(seed))
                seed += 1
    return str(folder)


def indices(split):
    return set(split.chosen.tolist())


def test_of_one_split_a_part_of_each_class_is_held_out(tmp_path):
    images = loading.load(write(tmp_path))
    assert images.classes == ("cat", "dog") and images.num_classes == 2
    assert (len(images.train), len(images.test), images.validation) == (8, 2, None)
    assert sorted(images.test.labels) == [0, 1]
    assert indices(images.train) | indices(images.test) == set(range(10))
    assert images.image_shape == (224, 224, 3) and images.shorter == 256
    held = [indices(loading.load(str(tmp_path), seed=seed).test) for seed in range(8)]
    assert len({tuple(sorted(one)) for one in held}) > 1  # the seed chooses
    assert held[0] == indices(images.test)


def test_validation_pictures_are_tested_on_where_there_are_no_others(tmp_path):
    images = loading.load(write(tmp_path, ("train", "val")))
    assert (len(images.train), len(images.test), images.validation) == (10, 10, None)
    more = loading.load(write(tmp_path, ("test",)))
    assert (len(more.train), len(more.validation), len(more.test)) == (10, 10, 10)


def test_a_part_of_training_is_set_aside_on_request(tmp_path):
    images = loading.load(write(tmp_path, ("train", "val")), validation=0.4)
    assert (len(images.train), len(images.validation), len(images.test)) == (6, 4, 10)
    assert not indices(images.train) & indices(images.validation)
    assert images.split("validation") is images.validation


def test_fewer_pictures_are_among_more(tmp_path):
    source = write(tmp_path, ("train", "val"))
    few, more = (loading.load(source, images=n) for n in (4, 7))
    assert len(few.train) == 4 and indices(few.train) < indices(more.train)


def test_content_and_label_belong_together(tmp_path):
    images = loading.load(write(tmp_path))
    for split in (images.train, images.test):
        for i, record in enumerate(split.chosen):
            assert split.content(i) == jpeg(int(record))
            assert split.labels[i] == record // 5


def test_on_request_what_cannot_be_decoded_is_left_out_and_listed(tmp_path):
    source = write(tmp_path)
    (tmp_path / "cat" / "1.jpg").write_bytes(jpeg(1)[:300])
    (tmp_path / "dog" / "4.jpg").write_bytes(b"text")
    images = loading.load(source, on_error="skip", held_out=0.25)
    assert len(images.train) + len(images.test) == 8
    assert not {1, 9} & (indices(images.train) | indices(images.test))
    first, second = (sentence for _, sentence in images.skipped)
    assert "1.jpg is cut short" in first and "4.jpg is no picture" in second
    assert "2 that cannot be read are left out" in images.words()
    assert images.record()["skipped pictures"] == [list(one) for one in images.skipped]


def test_where_a_flat_splits_labels_are_from_is_reported(tmp_path):
    source = write(tmp_path, ("train", "val"), count=1)
    assert "labels of" not in loading.load(source).words()
    for name in ("cat", "dog"):
        (tmp_path / "val" / name / "0.jpg").rename(tmp_path / "val" / f"{name}.jpg")
        (tmp_path / "val" / name).rmdir()
    (tmp_path / "val_labels.txt").write_text("cat.jpg dog\ndog.jpg cat\n")
    images = loading.load(source)
    assert images.test.labels.tolist() == [1, 0]
    told = f"labels of validation: class names in {tmp_path / 'val_labels.txt'}"
    assert images.words() == f"a folder of class folders; {told}"
    assert images.record()["layout"] == images.layout  # a run from before may go on


def test_the_record_tells_other_pictures(tmp_path):
    one = loading.load(write(tmp_path / "a")).record()
    moved = loading.load(write(tmp_path / "b")).record()
    assert one == moved
    assert loading.load(write(tmp_path / "c", classes=("cat", "eel"))).record() != one
    assert loading.load(str(tmp_path / "a"), seed=3).record() != one
    (tmp_path / "b" / "cat" / "0.jpg").rename(tmp_path / "b" / "cat" / "zero.jpg")
    assert loading.load(str(tmp_path / "b")).record() != one


class Labelled:
    """A layout of records whose labels are given."""

    def __init__(self, monkeypatch, classes, **labels):
        from tests.data.pictures.in_memory import InMemory
        from tf_bdecay.data.pictures.records import Found

        splits = {name: InMemory([b""] * len(of), of) for name, of in labels.items()}
        found = Found("given", classes, splits)
        monkeypatch.setattr(loading, "open_pictures", lambda path: found)


def test_labels_that_count_from_one(monkeypatch):
    Labelled(monkeypatch, None, train=[1, 2, 3, 1, 2, 3], test=[3])
    images = loading.load("given", label_offset=1)
    assert images.classes == ("1", "2", "3")
    assert images.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(BadInput, match="has the label 0: set label_offset=1"):
        loading.load("given")


def test_classes_without_a_training_picture_are_said(monkeypatch):
    Labelled(monkeypatch, None, train=[0, 0, 3, 3], test=[3])
    images = loading.load("given")
    assert images.layout == "given; classes without a training picture: '1', '2'"
    Labelled(monkeypatch, None, train=[1, 1, 2, 2], test=[2])
    assert loading.load("given", label_offset=1).layout == "given"


@pytest.mark.parametrize(
    "classes, train, test, offset, says",
    [
        (("a", "b"), [1, 2], [1], 0, r"0, ..., 1. They seem to count from 1: set label_offset=1"),
        (("a", "b"), [0, 1], [2], 0, r"Labels .* in 0, ..., 1. Received in test: 2 of memory/0"),
        (("a", "b"), [0, 1], [1], 1, r"1, ..., 2. .* from 0: set label_offset=0. Received in"),
        (("a", "b"), [1, 2], [1], 2, r"2, ..., 3. .* from 1: set label_offset=1. Received in"),
        (None, [0, 1], [-1], 0, r"Received in test: -1"),
        (None, [0, 1], [0], 5, r"All labels of given are below label_offset=5"),
    ],
)
def test_labels_without_a_class(monkeypatch, classes, train, test, offset, says):
    Labelled(monkeypatch, classes, train=train, test=test)
    with pytest.raises(BadInput, match=says):
        loading.load("given", label_offset=offset)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"size": 0}, "size"),
        ({"shorter": 100}, "shorter"),
        ({"held_out": 1.0}, "`held_out` must be a number > 0 and < 1"),
        ({"held_out": 0.05}, "both parts need pictures of all 2 classes"),
        ({"validation": -0.1}, "`validation` must be a number >= 0 and < 1"),
        ({"images": 11}, "at most the 10 training pictures"),
        ({"on_error": "ignore"}, "on_error 'ignore'"),
        ({"least_area": 0}, "least_area"),
        ({"flip": 1}, "flip"),
        ({"seed": -1}, "seed"),
        ({"label_offset": -1}, "label_offset"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, says):
    with pytest.raises(BadInput, match=says):
        loading.load(write(tmp_path), **arguments)


def test_what_a_source_has_is_not_made(tmp_path):
    source = write(tmp_path, ("train", "val", "test"))
    with pytest.raises(BadInput, match="`held_out` is for a source with training pictures alone"):
        loading.load(source, held_out=0.2)
    with pytest.raises(BadInput, match="has a validation split: leave it out"):
        loading.load(source, validation=0.2)


def test_a_file_that_is_gone_is_named(tmp_path):
    images = loading.load(write(tmp_path))
    (tmp_path / "cat" / "3.jpg").unlink()
    split = images.train if 3 in images.train.chosen else images.test
    index = split.chosen.tolist().index(3)
    with pytest.raises(BadInput, match=r"cat/3\.jpg.*gone|3\.jpg cannot be read"):
        split.content(index)
