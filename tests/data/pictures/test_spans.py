"""Spans of files: many threads read them with few files open, and changed files are named."""

import concurrent.futures
import os

import pytest

from tf_bdecay.data.pictures import spans
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


class Plain(spans.Spans):
    def where(self, index):
        return f"{self.path(index)}, {index}"


def made(folder, count=9):
    files = []
    for number in range(count):
        path = folder / f"{number}"
        path.write_bytes(bytes([number]) * 10)
        files.append((str(path), 10))
    places = [n for n in range(count) for _ in range(2)]
    return Plain(files, places, [1, 4] * count, [3, 6] * count, places)


def test_records_are_spans(tmp_path):
    records = made(tmp_path)
    assert [records.read(i) for i in (0, 1, 17)] == [bytes(3), bytes(6), bytes([8]) * 6]
    assert len(records) == 18 and records.labels[17] == 8
    assert records.path(17) == str(tmp_path / "8")


def test_many_threads_read_with_few_files_open(tmp_path, monkeypatch):
    opened, now, most = spans.os.open, set(), []

    def counted(*arguments):
        descriptor = opened(*arguments)
        now.add(descriptor)
        most.append(len(now))
        return descriptor

    closed = spans.os.close
    monkeypatch.setattr(spans.os, "open", counted)
    monkeypatch.setattr(spans.os, "close", lambda d: (now.discard(d), closed(d)))
    records = made(tmp_path)
    records._open = spans.OpenFiles(3)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(records.read, list(range(18)) * 20))
    assert found == [bytes([i // 2]) * (6 if i % 2 else 3) for i in range(18)] * 20
    assert 3 <= max(most) <= 3 + 4  # the calls under way may have one each
    del records
    assert not now


def test_a_file_that_changed_or_went_is_named(tmp_path):
    records = made(tmp_path)
    with open(tmp_path / "1", "ab") as file:
        file.write(b"more")
    with pytest.raises(BadInput, match=rf"{tmp_path}/1, 3: .* changed .* 10 to 14 bytes"):
        records.read(3)
    os.remove(tmp_path / "2")
    with pytest.raises(FileNotFoundError):
        records.read(4)
    assert records.read(0) == bytes(3)


def test_what_is_broken_is_said_when_it_is_read(tmp_path):
    files = made(tmp_path)._files
    records = Plain(files, [0, 1], [0, 0], [2, 2], [0, 0], {1: "shard 1 is cut short"})
    assert records.read(0) == bytes(2)
    with pytest.raises(BadInput, match="^shard 1 is cut short$"):
        records.read(1)


def test_names_are_kept_as_they_are():
    names = ["a", "", "größe/ß.png", "\udce9.jpg"]
    kept = spans.Names(names)
    assert [kept[i] for i in range(4)] == names


def test_names_of_several_folders_follow_each_other():
    parts = [["a.jpg", "größer.png"], [], ["\udcff", ""]]
    names = spans.Names.joined([spans.Names(part) for part in parts])
    assert list(names) == ["a.jpg", "größer.png", "\udcff", ""] and len(names) == 4
