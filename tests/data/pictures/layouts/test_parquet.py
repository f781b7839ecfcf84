"""Tables of pictures, beside the rows that were written into them."""

import concurrent.futures
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.pictures import folder, hub
from tf_bdecay.data.pictures.layouts import parquet
from tf_bdecay.data.pictures.layouts.parquet_file import ParquetFile
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

PICTURES = [folder.picture(seed) for seed in range(7)]
LABELS = [1, 0, 2, 1, 0, 0, 2]
NAMES = ["zebra", "ant", "ox"]  # the hub's order is its own


def table(labels=LABELS, names=NAMES):
    return hub.table(PICTURES[: len(labels)], labels, names)


@pytest.mark.parametrize("below", ["", "data"])
def test_splits_of_shards_give_what_was_written(tmp_path, below):
    hub.write(tmp_path / below, table(), "train", shards=3)
    hub.write(tmp_path / below, table([2, 1, 0]), "validation")
    folder.write(tmp_path / "README.md", "")
    found = parquet.recognise(str(tmp_path))
    assert found.classes == ("zebra", "ant", "ox")
    assert list(found.splits) == ["train", "validation"]
    assert folder.contents(found.splits["train"]) == list(zip(PICTURES, LABELS, strict=True))
    assert folder.contents(found.splits["validation"])[2] == (PICTURES[2], 0)
    assert found.layout == "parquet files, pictures in image.bytes, labels in label"
    where = found.splits["train"].where(5)
    assert where.endswith("train-00001-of-00003.parquet, row 2")


def test_one_file_is_for_training(tmp_path):
    path, *_ = hub.write(tmp_path, table(), "validation", shards=2)
    found = parquet.recognise(path)
    assert folder.contents(found.splits["train"]) == list(zip(PICTURES, LABELS, strict=True))[:4]


def test_splits_by_folder(tmp_path):
    for split in ("train", "test"):
        os.makedirs(tmp_path / split)
        pq.write_table(table(), tmp_path / split / "0000.parquet")
    assert list(parquet.recognise(str(tmp_path)).splits) == ["train", "test"]


def test_files_without_a_splits_name(tmp_path):
    pq.write_table(table(), tmp_path / "part-0.parquet")
    assert list(parquet.recognise(str(tmp_path)).splits) == ["train"]
    pq.write_table(table(), tmp_path / "train.parquet")
    found = parquet.recognise(str(tmp_path))
    assert len(found.splits["train"]) == 7
    assert "not read: 'part-0.parquet'" in found.layout


def test_words_for_labels_are_sorted(tmp_path):
    path, *_ = hub.write(tmp_path, table(["ox", "ant", "ox"], None))
    found = parquet.recognise(path)
    assert found.classes == ("ant", "ox")
    assert found.splits["train"].labels.tolist() == [1, 0, 1]


def test_numbers_without_names_stay(tmp_path):
    path, *_ = hub.write(tmp_path, table([1, 2], None))
    found = parquet.recognise(path)
    assert found.classes is None
    assert found.splits["train"].labels.tolist() == [1, 2]


def test_labels_that_are_kept_back_are_no_test_split(tmp_path):
    hub.write(tmp_path, table())
    hub.write(tmp_path, table([-1, -1]), "test")
    found = parquet.recognise(str(tmp_path))
    assert list(found.splits) == ["train"]
    assert "test left out" in found.layout


def test_what_has_no_parquet_files_is_left_to_others(tmp_path):
    assert parquet.recognise(folder.write(tmp_path / "a", {"train": {"b.png": b""}})) is None
    assert parquet.recognise(folder.write(tmp_path / "b.npz", b"")) is None


@pytest.mark.parametrize(
    "splits, words",
    [
        ({"train": table([0, 3])}, r"in 0, \.\.\., 2, .*Received: 3 in \S+\.parquet, row 1$"),
        ({"train": table([0, 1, -1])}, r"Received: -1 in .*row 2$"),
        ({"train": table([0, 1]), "val": table([2])}, "in validation alone: 2"),
        ({"train": table(), "val": table(names=["ant", "ox", "zebra"])}, "classes 'ant', 'ox'"),
        ({"val": table()}, "no parquet files of the train split. Received: 'validation'"),
        ({"train": table([0, None])}, "must have a label. Received: 1 rows without"),
        ({"train": table().slice(0, 0)}, "train split .* has no pictures"),
        ({"train": table(), "val": table().rename_columns(["image", "class", "id"])}, "labels in"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, splits, words):
    for split, made in splits.items():
        hub.write(tmp_path, made, split)
    with pytest.raises(BadInput, match=words):
        parquet.recognise(str(tmp_path))


def test_a_missing_shard_is_named(tmp_path):
    paths = hub.write(tmp_path, table(), shards=3)
    os.remove(paths[1])
    with pytest.raises(
        BadInput, match=f"All 3 shards of train must be in {tmp_path}. Missing: 1. To"
    ):
        parquet.recognise(str(tmp_path))
    hub.write(tmp_path, table(), shards=2)
    with pytest.raises(
        BadInput, match="one set of shards. .*'train-.-of-00002', 'train-.-of-00003'"
    ):
        parquet.recognise(str(tmp_path))


def test_a_shard_cut_short_is_named_at_once(tmp_path):
    paths = hub.write(tmp_path, table(), shards=3)
    with open(paths[1], "r+b") as file:
        file.truncate(os.path.getsize(paths[1]) - 9)
    with pytest.raises(BadInput, match="00001-of-00003.parquet has no footer.*cut short"):
        parquet.recognise(str(tmp_path))


def test_damaged_pictures_are_named_when_they_are_read_and_others_stay(tmp_path):
    paths = hub.write(tmp_path, table(), shards=3)
    with open(paths[1], "r+b") as file:
        file.seek(20)  # in the first page of pictures
        file.write(b"\xff" * 40)
    records = parquet.recognise(str(tmp_path)).splits["train"]
    with pytest.raises(BadInput, match="00001-of-00003.parquet is damaged in its row group 0"):
        records.read(3)
    assert [records.read(i) for i in (0, 6)] == [PICTURES[0], PICTURES[6]]


def test_a_row_without_bytes_is_named(tmp_path):
    path, *_ = hub.write(tmp_path, hub.table([b"1", None], [0, 0]))
    records = parquet.recognise(path).splits["train"]
    with pytest.raises(BadInput, match="row 1 has no bytes"):
        records.read(1)


def test_memory_is_bounded_and_groups_in_order_are_read_once(tmp_path):
    made = pa.table({"image": [bytes([i]) * 1000 for i in range(64)], "label": [0] * 64})
    reads = []

    class Counting(ParquetFile):
        def column(self, name, group=None):
            reads.append(group)
            return super().column(name, group)

    shards = [Counting(path) for path in hub.write(tmp_path, made, shards=4, group=4)]
    records = parquet.Rows(shards, np.zeros(64), "image", cache=9000)  # two groups
    assert [records.read(i)[0] for i in range(64)] == list(range(64))
    assert len(reads) == 16
    for index in (63, 59, 62, 58):
        records.read(index)
    assert len(reads) == 16  # both were kept
    for index in (0, 59, 63):  # the first takes the place of what was longer not asked for
        records.read(index)
    assert len(reads) == 18


def test_threads_read_the_same_and_leave_nothing_open(tmp_path):
    made = pa.table({"image": [b"%d" % i for i in range(60)], "label": [0] * 60})
    hub.write(tmp_path, made, shards=6, group=3)
    records = parquet.recognise(str(tmp_path)).splits["train"]
    small = parquet.Rows(
        [ParquetFile(f"{tmp_path}/{name}") for name in sorted(os.listdir(tmp_path))],
        records.labels,
        "image",
        cache=10,
    )
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    order = np.random.default_rng(0).permutation(np.tile(np.arange(60), 3)).tolist()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(small.read, order, timeout=60))
    assert found == [b"%d" % i for i in order]
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_without_pyarrow_one_sentence_says_so(tmp_path, monkeypatch):
    hub.write(tmp_path, table())
    monkeypatch.setattr(parquet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install pyarrow"):
        parquet.recognise(str(tmp_path))
