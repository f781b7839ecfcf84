import os
import pathlib

import pytest

from tests.data.pictures import folder
from tf_bdecay.data.pictures import layouts
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def test_class_folders_are_opened(tmp_path, monkeypatch):
    path = folder.write(tmp_path / "set", folder.split_of(2))
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (path, pathlib.Path(path), "~/set"):
        assert len(layouts.open_pictures(source).splits["train"]) == 4


def test_what_no_layout_knows_is_refused_with_all_that_was_looked_for(tmp_path):
    path = folder.write(tmp_path, {"notes": {"a.txt": ""}})
    with pytest.raises(BadInput, match="Looked for: .*folders of pictures"):
        layouts.open_pictures(path)
    with pytest.raises(BadInput, match=r"a\.txt\. Looked for: "):
        layouts.open_pictures(f"{path}/notes/a.txt")


def test_nothing_there(tmp_path):
    with pytest.raises(BadInput, match=rf"nothing at \S+/x/y.* of the path is {tmp_path}$"):
        layouts.open_pictures(tmp_path / "x" / "y")


@pytest.mark.parametrize("source", [None, 3, "", b""])
def test_no_path(source):
    with pytest.raises(BadInput, match="must be the path of a folder or a file. Received: source="):
        layouts.open_pictures(source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path):
    os.chmod(tmp_path, 0)
    try:
        with pytest.raises(BadInput, match="no permission"):
            layouts.open_pictures(tmp_path)
    finally:
        os.chmod(tmp_path, 0o700)
