"""CSV files of a resumed run have neither gaps nor repeats."""

import pandas as pd
import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage import tables
from tf_bdecay.storage.tables import Table, counts, frame, lost_since


def write(path, updates, after=0):
    table = Table(path, ["update", "r"], after=after)
    for update in updates:
        table.add(update=update, r=update / 10)
        table.flush()


def test_rows_are_read_back_in_order(tmp_path):
    write(tmp_path / "t.csv", [5, 10, 15])
    frame = pd.read_csv(tmp_path / "t.csv")
    assert frame["update"].tolist() == [5, 10, 15]
    assert frame["r"].tolist() == [0.5, 1.0, 1.5]


def test_a_resumed_run_drops_what_it_will_write_again(tmp_path):
    write(tmp_path / "t.csv", [5, 10, 15])
    write(tmp_path / "t.csv", [15, 20], after=10)
    assert pd.read_csv(tmp_path / "t.csv")["update"].tolist() == [5, 10, 15, 20]


def test_a_row_cut_short_by_a_kill_is_dropped(tmp_path):
    write(tmp_path / "t.csv", [5, 128])
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").write_text(text[: text.index("128") + 1])  # "1" of "128,12.8"
    write(tmp_path / "t.csv", [128], after=100)
    assert pd.read_csv(tmp_path / "t.csv")["update"].tolist() == [5, 128]


def test_a_new_run_starts_empty(tmp_path):
    Table(tmp_path / "t.csv", ["update", "r"])
    assert (tmp_path / "t.csv").read_text().strip() == "update,r"


def test_a_value_that_is_not_given_stays_empty(tmp_path):
    table = Table(tmp_path / "t.csv", ["update", "r"])
    table.add(update=1)
    table.flush()
    assert pd.read_csv(tmp_path / "t.csv")["r"].isna().all()


@pytest.mark.parametrize(
    "content, said",
    [
        (b"update,a\r\n1,\xff\r\n", "decode"),
        (b"update,b\r\n1,2\r\n", "its header is 'update,b'"),
        (b"", "not enough values"),
        (b"update,a\r\n1,2,3\r\n", "row 2 is '1,2,3'"),
        (b"update,a\r\n1,2\r\n\r\n2,2\r\n", "row 3 is ''"),
        (b"update,a\r\none,2\r\n", "row 2 is 'one,2'"),
        ("update,a\r\n１,2\r\n".encode(), "row 2 is '１,2'"),
        (b"update,a\r\n-1,2\r\n", "row 2 is '-1,2'"),
        (b'update,a\r\n1,"2\r\n', "unexpected end of data"),
    ],
)
def test_a_garbled_table_is_a_sentence_and_stays(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="is damaged") as error:
        Table(path, ["update", "a"], after=9)
    assert said in str(error.value)
    assert str(error.value).endswith("): put a complete one back, or choose another folder.")
    with pytest.raises(BadInput, match="or name another log_dir.$"):
        Table(path, ["update", "a"], after=9, otherwise="name another log_dir")
    assert path.read_bytes() == content


def test_a_row_that_a_kill_cut_short_goes(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"update,a\r\n1,2\r\n2,33")
    Table(tmp_path / "t.csv", ["update", "a"], after=9)
    assert (tmp_path / "t.csv").read_bytes() == b"update,a\r\n1,2\r\n"


def test_a_table_that_was_removed_meanwhile_does_not_begin_anew(tmp_path):
    table = Table(tmp_path / "t.csv", ["update", "a"])
    (tmp_path / "t.csv").unlink()
    table.add(update=1, a=2)
    with pytest.raises(FileNotFoundError):
        table.flush()
    assert not (tmp_path / "t.csv").exists()


def test_rows_that_somebody_removed_are_said(tmp_path):
    path = tmp_path / "t.csv"
    write(path, [5, 10, 15])
    table = Table(path, ["update", "r"], after=10)
    assert table.lost([5, 10]) == ""
    assert "t.csv lacks rows of 2 of the 2 updates" in table.lost([5, 10], rows=2)
    path.unlink()
    assert "t.csv lacks rows of 1 of the 1 updates" in Table(path, ["update", "r"], after=5).lost(
        [5]
    )


def test_rows_that_were_removed_since_a_checkpoint_are_counted(tmp_path):
    whole, cut = (Table(tmp_path / f"{name}.csv", ["update", "r"]) for name in ("whole", "cut"))
    for table in (whole, cut):
        for update in (1, 2, 3):
            table.add(update=update, r=0)
        assert table.count == 0  # nothing is on the disk yet
        table.flush()
    had = counts([whole, cut])
    assert had == {"whole.csv": 3, "cut.csv": 3} and lost_since([whole, cut], had) == []
    kept = cut.path.read_text().splitlines(keepends=True)
    cut.path.write_text("".join([*kept[:2], *kept[3:]]))
    again = [Table(table.path, table.columns, after=3) for table in (whole, cut)]
    (said,) = lost_since(again, had)
    assert "cut.csv lacks 1 of the 3 rows that it had before the checkpoint" in said
    assert lost_since(again, {}) == []  # of a checkpoint that does not say


def test_a_frame_has_numbers_words_and_gaps_and_no_half_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("update,layer,r\r\n1,a,0.5\r\n2,b,\r\n3,c,inf\r\n4,d")
    found = frame(path, "look")
    assert found["update"].tolist() == [1, 2, 3] and found["layer"].tolist() == ["a", "b", "c"]
    assert found["r"].tolist()[::2] == [0.5, float("inf")] and found["r"].isna()[1]
    path.write_text("update,layer,r\n1,a,much\n")
    with pytest.raises(BadInput, match="t.csv is damaged .r is 'much'.: look.$"):
        frame(path, "look")


def test_tables_of_an_earlier_run_are_renamed_together(tmp_path):
    paths = [tmp_path / "layers.csv", tmp_path / "variables.csv", tmp_path / "missing.csv"]
    assert tables.set_aside(paths) == []
    for number in (1, 2):
        for path in paths[:2]:
            table = Table(path, ["update", "a"])
            table.add(update=1, a=number)
            table.flush()
        assert tables.set_aside(paths) == [f"layers-{number}.csv", f"variables-{number}.csv"]
        assert not any(path.exists() for path in paths)
    for number in (1, 2):
        assert pd.read_csv(tmp_path / f"layers-{number}.csv")["a"].tolist() == [number]


def test_a_table_without_rows_is_not_worth_a_name(tmp_path):
    Table(tmp_path / "layers.csv", ["update", "a"])
    assert tables.set_aside([tmp_path / "layers.csv"]) == []
    assert [path.name for path in tmp_path.iterdir()] == ["layers.csv"]
