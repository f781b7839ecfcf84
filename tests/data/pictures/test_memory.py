"""Memory does not grow with the number of pictures in an epoch."""

import os
import pathlib

import pytest

from tests.data.pictures.in_memory import jpeg
from tests.processes import ended

SCRIPT = pathlib.Path(__file__).with_name("memory_script.py")


def write_many(folder, count):
    """So many pictures in ten class folders, by links to a few files."""
    for number in range(count):
        path = folder / f"{number % 10}" / f"{number}.jpg"
        if number < 100:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(number))
        else:  # a file has a bounded number of links
            os.symlink(folder / f"{number % 10}" / f"{number % 100}.jpg", path)
    return folder


def memory(folder, batch=256):
    """Mebibytes after each tenth of an epoch."""
    command = [str(SCRIPT), str(folder), str(batch)]
    done = ended(command, timeout=3600)
    assert done.returncode == 0, done.stderr
    return [float(line) for line in done.stdout.split()]


@pytest.mark.slow
def test_an_epoch_of_many_pictures_takes_no_more_memory_than_its_beginning(tmp_path):
    found = memory(write_many(tmp_path, 20_000))
    assert len(found) >= 10
    # Kept, the crops alone were 60 MB; queues fill at first, and allocators keep some of it.
    assert found[-1] - found[3] < 25, found
