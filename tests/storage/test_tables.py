"""CSV files of a resumed run have neither holes nor repeats."""

import pandas as pd

from tf_bdecay.storage.tables import Table


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
