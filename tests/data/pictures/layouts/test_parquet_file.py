"""Row groups and columns of one parquet file, beside the rows that were written into it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.pictures import hub
from tf_bdecay.data.pictures.layouts.parquet_file import ParquetFile
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def shard(path, made):
    pq.write_table(made, path / "a.parquet", row_group_size=2)
    return ParquetFile(f"{path}/a.parquet")


def test_groups_and_columns(tmp_path):
    made = shard(tmp_path, hub.table([b"0", b"1", b"2"], [1, 0, 1], ["a", "b"]))
    assert made.groups == [2, 1]
    assert made.columns() == ("image.bytes", "label", ["a", "b"])
    assert made.column("image.bytes").to_pylist() == [b"0", b"1", b"2"]
    assert made.column("image.bytes", 1).to_pylist() == [b"2"]


def columns(**arrays):
    return pa.table(arrays)


@pytest.mark.parametrize(
    "made, found",
    [
        (columns(img=[b""], cls=[1], note=["x"], size=[2]), ("img", "cls", None)),
        (columns(scan=[b""], label=["ox"]), ("scan", "label", None)),
        (columns(mask=[b""], image=[b""], label=[0], labels=[1]), ("image", "label", None)),
        (
            hub.table([b""], [0], ["a"], "img", "coarse"),
            ("img.bytes", "coarse", ["a"]),
        ),
        (
            columns(image=[b""], coarse_label=[1], fine_label=[0]),
            ("image", "fine_label", None),
        ),
    ],
)
def test_columns_by_usual_names_and_by_the_hubs_notes(tmp_path, made, found):
    assert shard(tmp_path, made).columns() == found


@pytest.mark.parametrize(
    "made, words",
    [
        (columns(image=["a.png"], label=[1]), "a column of pictures, .*'image', 'label'"),
        (columns(a=[b""], b=[b""], label=[1]), "called 'image'. Received: 'a', 'b', 'label'"),
        (columns(image=[b""], number=[1]), "a column of labels, .*called 'label'"),
        (columns(image=[b""], label=[[1, 2]]), "a column of labels"),
        (columns(image=[b""], label=[0.5]), "a column of labels"),
    ],
)
def test_columns_that_are_not_there_or_not_certain(tmp_path, made, words):
    with pytest.raises(BadInput, match=words):
        shard(tmp_path, made).columns()


def test_a_file_that_grew_is_not_read_by_its_old_footer(tmp_path):
    made = shard(tmp_path, columns(image=[b"1"], label=[1]))
    shard(tmp_path, columns(image=[b"1" * 100], label=[1]))
    with pytest.raises(BadInput, match="has changed since it was opened"):
        made.column("image")
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.parquet is gone"):
        made.column("image")
