"""prepare_images.py and make_pictures.py as commands: their results, and wrong input."""

import pathlib

from tests.data.pictures import archive, folder
from tests.processes import ended
from tf_bdecay.data.pictures import layouts

ROOT = pathlib.Path(__file__).parents[2]
# Neither is needed, and both take many times the tool's own seconds to load.
WITHOUT_KERAS = """
import runpy, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name in ("keras", "tensorflow"):
            raise ImportError(f"{name} is not needed here")

sys.meta_path.insert(0, Refused())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*flags, tool="prepare_images.py"):
    command = ["-c", WITHOUT_KERAS, str(ROOT / "tools" / tool), *flags]
    done = ended(command, timeout=1200)
    return done.returncode, done.stdout, done.stderr


def test_an_archive_becomes_shards(tmp_path):
    tree = {"train": folder.split_of(3), "val": folder.split_of(1)}
    source = folder.write(tmp_path / "set.tar", archive.tar(archive.flat(tree)))
    flags = [f"--source={source}", f"--to={tmp_path}/to", "--pictures=4", "--jobs=2"]
    code, said, wrong = run(*flags)
    assert code == 0, wrong
    assert "a tar of class folders; 6 train, 2 validation" in said
    assert f"3 shards in {tmp_path}/to, read again and verified" in said
    expected, found = layouts.open_pictures(source), layouts.open_pictures(tmp_path / "to")
    assert found.classes == expected.classes
    for split, records in expected.splits.items():
        assert folder.contents(found.splits[split]) == folder.contents(records)


def test_what_is_wrong_is_one_sentence(tmp_path):
    tree = {"ant": {"1.png": folder.picture(1), "2.png": b"text"}}
    source = folder.write(tmp_path / "set", tree)
    code, _, wrong = run(f"--source={source}", f"--to={tmp_path}/to")
    assert code == 2 and "set/ant/2.png is no picture" in wrong and wrong.count("\n") == 1


def test_pictures_to_try_are_made(tmp_path):
    code, said, wrong = run(f"--out={tmp_path}/set", "--images=200", tool="make_pictures.py")
    assert (code, wrong) == (0, "") and said.startswith("200 pictures to train on")
    assert len(layouts.open_pictures(tmp_path / "set").splits["train"]) == 200
