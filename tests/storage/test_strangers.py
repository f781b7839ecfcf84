"""Files of a run, read as if a stranger had written them: a sentence, or an older file in place."""

import errno
import fcntl
import hashlib
import io
import json

import numpy as np
import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoints, files
from tf_bdecay.storage.tables import Table


@pytest.mark.parametrize(
    "value, shape, right",
    [
        (1, int, True),
        (True, int, False),
        (True, bool, True),
        (1.5, (int, float), True),
        ([1, 2], [int], True),
        ([1, "2"], [int], False),
        ({"a": 1, "b": None}, {"a": int}, True),
        ({"b": None}, {"a": int}, False),
        ([], {"a": int}, False),
        (-1, files.is_count, False),
    ],
)
def test_a_shape_fits_or_not(value, shape, right):
    assert files.fits(value, shape) is right


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 100_000, b"9" * 9999, b'"text"', b"{}", b'{"kept": [1]}']
)
def test_json_of_a_stranger_is_a_sentence(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(BadInput, match="choose another --workdir") as error:
        files.read_json(tmp_path / "x.json", {"kept": [str]})
    assert len(str(error.value)) < 1000


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


def forged(path, content):
    """Writes bytes as a checkpoint whose checksum is right."""
    digest = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content + b"\ntf_bdecay checkpoint, sha256 " + digest)


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def meta_of(value):
    return npz(meta=np.frombuffer(json.dumps(value).encode(), np.uint8))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        npz(a=np.zeros(3)),
        npz(meta=np.array(None, dtype=object)),
        npz(meta=np.frombuffer(b"{", np.uint8)),
        meta_of([]),
        meta_of({}),
        meta_of({"format": "3", "update": 2}),
        meta_of({"format": checkpoints.FORMAT}),
        meta_of({"format": checkpoints.FORMAT, "update": -2}),
        meta_of({"format": checkpoints.FORMAT, "update": "2"}),
        meta_of({"format": checkpoints.FORMAT, "update": True}),
        meta_of({"format": checkpoints.FORMAT, "update": 7}),
    ],
)
def test_a_checkpoint_of_a_stranger_is_set_aside_for_an_older_one(tmp_path, content):
    checkpoints.save(tmp_path, {"a": np.ones(2)}, {"update": 1}, keep=3)
    forged(tmp_path / "update_00000002.npz", content)
    warnings = []
    path, arrays, meta = checkpoints.read_newest(tmp_path, warnings.append)
    assert path.name == "update_00000001.npz" and meta["update"] == 1
    np.testing.assert_array_equal(arrays["a"], np.ones(2))
    assert len(warnings) == 1 and "going on from update_00000001.npz" in warnings[0]
    assert (tmp_path / "update_00000002.npz.damaged").exists()


@pytest.mark.parametrize("content", ['{"kept": "abc"}', '{"kept": [1]}', "{}", "[]", "null", "{"])
def test_a_list_of_checkpoints_that_says_nothing_is_told(tmp_path, content):
    checkpoints.save(tmp_path, {"a": np.ones(2)}, {"update": 1}, keep=3)
    (tmp_path / "kept.json").write_text(content)
    warnings = []
    assert checkpoints.read_newest(tmp_path, warnings.append)[2]["update"] == 1
    assert len(warnings) == 1 and "kept.json is damaged" in warnings[0]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL])
def test_a_file_system_without_locks_is_not_in_use(tmp_path, monkeypatch, number):
    def refuse(file, how):
        raise OSError(number, "No locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    warnings = []
    with files.locked(tmp_path, "x is in use", warnings.append):
        pass
    assert len(warnings) == 1 and "cannot be locked (No locks here)" in warnings[0]
