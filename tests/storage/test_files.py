"""When writing is interrupted, a file has either its old content or its new."""

import errno
import fcntl
import json
import math
import os

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage import files


def test_an_interrupted_write_leaves_the_old_file_as_it_was(tmp_path):
    file = tmp_path / "file"
    files.atomic_write(file, lambda f: f.write(b"old"))

    def fails(f):
        f.write(b"new, half wr")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.atomic_write(file, fails)
    assert file.read_bytes() == b"old"


def test_json_never_holds_numbers_that_json_does_not_know(tmp_path):
    value = files.json_ready({"a": math.nan, "b": {"c": math.inf, "d": 1.5}, "e": [1]})
    files.write_json(tmp_path / "x.json", value)

    def refuse(name):
        raise AssertionError(name)

    read = json.loads((tmp_path / "x.json").read_text(), parse_constant=refuse)
    assert read == {"a": "nan", "b": {"c": "inf", "d": 1.5}, "e": [1]}


def test_no_part_of_an_interrupted_write_stays_on_the_disk(tmp_path):
    def fails(f):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.atomic_write(tmp_path / "file", fails)
    assert list(tmp_path.iterdir()) == []


def test_an_append_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    files.atomic_append(tmp_path / "file", b"old", create=True)

    def fails(handle):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        files.atomic_append(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_one_process_at_a_time_in_a_locked_folder(tmp_path):
    with (
        files.locked(tmp_path, "x is in use"),
        pytest.raises(BadInput, match="x is in use: wait"),
        files.locked(tmp_path, "x is in use"),
    ):
        pass
    with files.locked(tmp_path, "x is in use"):
        pass


def test_the_sha_256_of_a_file(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256_of(tmp_path / "x").startswith("ba7816bf8f01cfea")


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
    with pytest.raises(BadInput, match=r"x.json is .*: name another --model\.") as error:
        files.read_json(tmp_path / "x.json", {"kept": [str]}, "name another --model")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL])
def test_a_file_system_without_locks_is_not_in_use(tmp_path, monkeypatch, number):
    def refuse(file, how):
        raise OSError(number, "No locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    warnings = []
    with files.locked(tmp_path, "x is in use", warnings.append):
        pass
    assert len(warnings) == 1 and "cannot be locked (No locks here)" in warnings[0]
