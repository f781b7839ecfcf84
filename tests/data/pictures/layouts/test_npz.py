"""Arrays in npz files come back to the pixel, and what is damaged or no picture is refused."""

import numpy as np
import pytest

from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts import npz
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def images(count, *channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 5, 4, *channels), dtype=np.uint8)


def opened(path, save=np.savez, **arrays):
    save(path / "a.npz", **arrays)
    return npz.recognise(f"{path}/a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_pictures_come_back_to_the_pixel(tmp_path, channels, save):
    x = images(4, *channels)
    found = opened(tmp_path, save, x=x, y=[2, 0, 1, 2])
    records = found.splits["train"]
    for i in range(4):
        decoded = folder.decoded(records.read(i))
        np.testing.assert_array_equal(decoded, x[i, ..., 0] if channels == (1,) else x[i])
    np.testing.assert_array_equal(records.labels, [2, 0, 1, 2])
    assert (found.classes, list(found.splits)) == (None, ["train"])
    assert records.where(3).endswith("a.npz: x[3]")


@pytest.mark.parametrize(
    "train, val, test",
    [
        (("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test")),
        (("train_images", "train_labels"), ("val_images", "val_labels"), ()),
        (("X", "Y"), ("X_valid", "Y_valid"), ("X_test", "Y_test")),
    ],
)
def test_splits_by_name(tmp_path, train, val, test):
    arrays = {}
    for names, count in ((test, 2), (val, 3), (train, 4)):
        if names:
            arrays |= {
                names[0]: images(count, seed=count),
                names[1]: np.zeros((count, 1), np.uint8),
            }
    found = opened(tmp_path, **arrays)
    assert list(found.splits) == ["train", "validation", "test"][: len(arrays) // 2]
    assert [len(records) for records in found.splits.values()] == [4, 3, 2][: len(arrays) // 2]
    np.testing.assert_array_equal(
        folder.decoded(found.splits["validation"].read(2)), images(3, seed=3)[2]
    )


@pytest.mark.parametrize("kind", ["U", "S"])
def test_words_for_labels_are_sorted(tmp_path, kind):
    found = opened(tmp_path, x=images(3), y=np.array(["ox", "ant", "ox"], kind))
    assert found.classes == ("ant", "ox")
    assert found.splits["train"].labels.tolist() == [1, 0, 1]


def test_other_arrays_are_said(tmp_path):
    found = opened(tmp_path, x=images(1), y=[0], mean=[1.0])
    assert found.layout == "an .npz file of arrays; not read: 'mean'"


X = images(2)


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"x": X / 255, "y": [0, 1]}, r"must be uint8 .*Received in x: float64 \[2, 5, 4\]"),
        ({"x": images(2, 2), "y": [0, 1]}, r"uint8 \[2, 5, 4, 2\]"),
        ({"x": X.reshape(2, 20), "y": [0, 1]}, r"uint8 \[2, 20\]"),
        ({"x": X[:, :0], "y": [0, 1]}, r"uint8 \[2, 0, 4\]"),
        ({"x": X, "y": [0.0, 1.0]}, r"must be integers or strings \[2\].*float64"),
        ({"x": X, "y": np.eye(2, dtype=int)}, r"int64 \[2, 2\]"),
        ({"x": X, "y": [0]}, r"\[2\]. Received in y: int64 \[1\]"),
        ({"x": X, "y": [0, -1]}, "must be numbers >= 0"),
        ({"x": X[:0], "y": X[:0, 0, 0]}, "train split .* has no pictures"),
        ({"x": X}, "must have pictures and labels of each split.*Received: 'x'"),
        ({"x_test": X, "y_test": [0, 1]}, "Received: 'x_test', 'y_test'"),
        ({"x": X, "y": [0, 1], "x_test": X}, "must have pictures and labels"),
        ({"x": X, "y": [0, 1], "images": X}, "one array of pictures .*'images', 'x'"),
        ({"x": X, "y": [0, 1], "x_test": X, "y_test": [1, 2]}, "in test alone: 2"),
        (
            {"x": X, "y": np.array(["a", 1], object)},
            "that np.savez wrote.*ValueError: Object arrays",
        ),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(tmp_path, arrays, words):
    with pytest.raises(BadInput, match=words):
        opened(tmp_path, **arrays)


def test_a_damaged_file_is_named_whatever_byte_is_wrong(tmp_path):
    x, y = images(2), np.array([0, 1])
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y)
    content = (tmp_path / "a.npz").read_bytes()
    path = tmp_path / "b.npz"
    places, refused = range(0, len(content), 7), 0
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            found = npz.recognise(f"{path}")  # some bytes mean nothing
        except BadInput as error:
            refused += 1
            assert "b.npz" in str(error)
        else:
            assert folder.contents(found.splits["train"]) != []
    assert refused > len(places) / 2
    for length in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(BadInput, match=r"b\.npz cannot be read"):
            npz.recognise(f"{path}")


def test_an_array_alone_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(BadInput, match="arrays x and y that np.savez wrote"):
        npz.recognise(f"{tmp_path}/a.npz")


def test_another_layout_is_left_to_others(tmp_path):
    assert npz.recognise(folder.write(tmp_path / "a.tar", b"")) is None
    assert npz.recognise(folder.write(tmp_path / "b.npz", {})) is None
