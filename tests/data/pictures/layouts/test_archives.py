"""The members of archives: where they are, where links lead, and what is refused."""

import gzip
import tarfile

import pytest

from tests.data.pictures import archive, folder
from tf_bdecay.data.pictures.layouts import archives
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def indexed(path, members, **options):
    content = archive.tar(members) if not isinstance(members, bytes) else members
    folder.write(path, content)
    return archives.index(str(path), **options), content


def test_members_are_spans_of_the_file(tmp_path):
    long_name = "class with a long name/" + "n" * 120 + "/größe.png"
    members = {"a/1.png": b"one", "./b//2.png": b"two" * 400, "c": None, long_name: b"three"}
    found, content = indexed(tmp_path / "x.tar", members)
    spans = {name: content[offset : offset + length] for name, offset, length in found.members}
    assert spans == {"a/1.png": b"one", "b/2.png": b"two" * 400, long_name: b"three"}
    assert found.folders == ["c"] and found.lost is None and found.size == len(content)


def test_an_archive_inside_another_is_indexed_in_place(tmp_path):
    inner = archive.tar({"1.png": b"one"})
    found, content = indexed(tmp_path / "x.tar", {"a.tar": inner, "b.tar": inner})
    name, offset, length = found.members[1]
    found = archives.index(str(tmp_path / "x.tar"), name, offset, length)
    ((name, offset, length),) = found.members
    assert content[offset : offset + length] == b"one"
    assert found.where(name) == f"{tmp_path}/x.tar: b.tar: 1.png"


def test_hidden_members_are_left_out(tmp_path):
    names = (
        ".DS_Store",
        "a/.ipynb_checkpoints/1.png",
        "__MACOSX/a/1.png",
        "a/._1.png",
        "./a/1.png",
    )
    found, _ = indexed(tmp_path / "x.tar", {name: b"x" for name in names})
    assert [name for name, *_ in found.members] == ["a/1.png"]


def test_links_are_what_they_lead_to(tmp_path):
    members = {
        "b/2.png": archive.link("b/2.png", "../a/1.png"),
        "a/1.png": b"one",
        "b/3.png": archive.link("b/3.png", "a/1.png", hard=True),
        "b/4.png": archive.link("b/4.png", "2.png"),
        "c": archive.link("c", "a"),
    }
    found, content = indexed(tmp_path / "x.tar", members)
    spans = {name: content[offset : offset + length] for name, offset, length in found.members}
    assert spans == dict.fromkeys(["a/1.png", "b/2.png", "b/3.png", "b/4.png"], b"one")
    assert found.others == ["c"]


@pytest.mark.parametrize("target", ["../../1.png", "/etc/passwd", "gone.png", "2.png"])
def test_links_that_lead_elsewhere_are_named(tmp_path, target):
    members = {"a/1.png": b"one", "b/2.png": archive.link("b/2.png", target)}
    with pytest.raises(BadInput, match=r"x.tar: b/2.png is a link to .* not in the archive"):
        indexed(tmp_path / "x.tar", members)


@pytest.mark.parametrize("name", ["/a/1.png", "../1.png", "a/../../1.png"])
def test_names_that_lead_outside_are_refused(tmp_path, name):
    with pytest.raises(BadInput, match=rf"x.tar: {name}: a name that leads outside"):
        indexed(tmp_path / "x.tar", {"a/0.png": b"", name: b"one"})


MEMBERS = {"a/1.png": bytes(700), "a/2.png": bytes(range(1, 200)) * 9, "b/3.png": bytes(700)}
WHOLE = archive.tar(MEMBERS)  # headers at 0, 1536 and 4096


@pytest.mark.parametrize(
    "length, lost, names",
    [
        (len(WHOLE), None, 3),
        (4096, None, 2),  # as if its writer had not closed it
        (3000, r"x.tar: a/2.png is cut short, and what came after", 1),
        (4090, r"x.tar is cut short or damaged after a/2.png", 2),
        (4200, r"x.tar is cut short after a/2.png, and what came there is lost", 2),
        (1600, r"x.tar is cut short after a/1.png", 1),
    ],
)
def test_a_cut_is_said_and_what_is_before_it_found(tmp_path, length, lost, names):
    found, _ = indexed(tmp_path / "x.tar", WHOLE[:length])
    assert len(found.members) == names
    if lost is None:
        assert found.lost is None
    else:
        with pytest.raises(BadInput, match=lost):
            raise BadInput(found.lost)


def test_damage_within_is_said(tmp_path):
    content = WHOLE[:4100] + b"\xff" * 100 + WHOLE[4200:]
    found, _ = indexed(tmp_path / "x.tar", content)
    assert len(found.members) == 2 and "x.tar is damaged after a/2.png" in found.lost


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "x.tar is no tar archive, or an empty one"),
        (bytes(10240), "x.tar is no tar archive, or an empty one"),
        (b"no archive" * 100, "x.tar is no tar archive"),
        (gzip.compress(WHOLE), "x.tar is compressed.*unpack it"),
    ],
    ids=range(4),
)
def test_what_is_no_archive_is_named(tmp_path, content, sentence):
    with pytest.raises(BadInput, match=sentence):
        indexed(tmp_path / "x.tar", content)


def test_archives_are_found_by_split(tmp_path):
    path = folder.write(tmp_path, {"a-train-0.tar": "", "a-val-0.tar": "", "a-train-1.tar": ""})
    splits, notes = archives.find(path)
    assert splits == {
        "train": [f"{path}/a-train-0.tar", f"{path}/a-train-1.tar"],
        "validation": [f"{path}/a-val-0.tar"],
    }
    folder.write(tmp_path, {"latest.tar": "", "x_train_t3.tar": "", "old.tar.gz": "", "x.txt": ""})
    assert archives.find(path)[0] == splits
    assert "latest.tar" in archives.find(path)[1][1] and "old.tar.gz" in archives.find(path)[1][0]
    assert archives.find(f"{path}/latest.tar") == ({None: [f"{path}/latest.tar"]}, [])
    assert archives.find(f"{path}/x.txt") is None


def test_archives_are_found_in_folders_of_splits(tmp_path):
    path = folder.write(tmp_path, {"train": {"b.tar": "", "a.tar": ""}, "val": {"a.tar": ""}})
    assert archives.find(path)[0] == {
        "train": [f"{path}/train/a.tar", f"{path}/train/b.tar"],
        "validation": [f"{path}/val/a.tar"],
    }


def test_unpacked_pictures_go_before_archives(tmp_path):
    path = folder.write(tmp_path, {"train.tar": "", "train": {"ant": {"1.png": ""}}})
    assert archives.find(path) is None


@pytest.mark.parametrize("name", ["train.tar.gz", "train.tgz", "x.TAR.ZST", "train.tar.xz"])
def test_compressed_archives_are_refused_by_name(tmp_path, name):
    path = folder.write(tmp_path, {name: ""})
    for source in (path, f"{path}/{name}"):
        with pytest.raises(BadInput, match=f"{name} is compressed"):
            archives.find(source)


def test_a_sparse_file_is_refused(tmp_path):
    info = tarfile.TarInfo("a/1.png")
    info.type = tarfile.GNUTYPE_SPARSE
    content = archive.tar({"a/1.png": info})
    with pytest.raises(BadInput, match="a/1.png is stored as a sparse file"):
        indexed(tmp_path / "x.tar", content)
