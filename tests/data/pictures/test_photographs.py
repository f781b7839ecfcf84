"""Pictures that packages ship: alpha, palettes, grey, 16 bits and odd sizes."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from tests.data.pictures import hub
from tests.data.pictures.archive import tar
from tests.data.pictures.folder import contents, write
from tests.tools.test_prepare_images import run
from tf_bdecay.data.pictures import crops, plain
from tf_bdecay.data.pictures.layouts import open_pictures

# Debian's tuxpaint-stamps-default: 800 cut-out photographs and drawings in nested folders.
STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps")
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp"}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def shipped(package):
    """Paths of the pictures of a package or folder; skips the test where there are none."""
    if package == "stamps":
        root = STAMPS
    else:
        root = pathlib.Path(pytest.importorskip(package).__file__).parent
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        pytest.skip(f"{root} has no pictures")
    return found


@pytest.mark.parametrize(
    "package",
    ["sklearn", "matplotlib", "skimage", pytest.param("stamps", marks=pytest.mark.slow)],
)
def test_they_have_the_pixels_that_pillow_sees(package):
    for path in shipped(package):
        try:
            Image.open(path).close()
        except UnidentifiedImageError:
            continue
        made = plain.plain(path.read_bytes())
        found = crops.decode_box(tf.constant(made), lambda h, w: tf.stack([0, 0, h, w])).numpy()
        with Image.open(path) as picture:
            expected = np.asarray(picture.convert("RGB"))
        assert found.shape == expected.shape, path
        # Another release of the decoder may round otherwise.
        assert np.abs(found.astype(int) - expected).max() <= 1, path


@pytest.mark.slow
def test_stamps_are_the_same_out_of_every_layout(tmp_path):
    stamps = shipped("stamps")[::20]
    classes = sorted({path.parent.relative_to(STAMPS).as_posix() for path in stamps})
    pictures = [
        (path.read_bytes(), path.name, label)
        for label, name in enumerate(classes)
        for path in stamps
        if path.parent == STAMPS / name
    ]
    tree = {f"{classes[label]}/{name}": content for content, name, label in pictures}
    write(tmp_path, {"all.tar": tar(tree)})
    shutil.unpack_archive(tmp_path / "all.tar", tmp_path / "folders", filter="data")
    members = [
        (f"{i:03}.{end}", value)
        for i, (content, _, label) in enumerate(pictures)
        for end, value in (("png", content), ("cls", b"%d" % label))
    ]
    write(tmp_path / "web", {"train-000000.tar": tar(members), "classes.txt": "\n".join(classes)})
    columns = [content for content, *_ in pictures], [label for *_, label in pictures]
    hub.write(tmp_path / "hub", hub.table(*columns, classes), shards=2)
    done = run(f"--source={tmp_path}/folders", f"--to={tmp_path}/shards", "--pictures=16")
    assert done[0] == 0, done[2]

    expected = [(plain.plain(content), label) for content, _, label in pictures]
    for source in ("folders", "all.tar", "web", "hub", "shards"):
        found = open_pictures(tmp_path / source)
        assert found.classes == tuple(classes), source
        made = [(plain.plain(content), label) for content, label in contents(found.splits["train"])]
        assert made == expected, source
