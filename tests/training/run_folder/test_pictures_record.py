"""What a run's folder records about its pictures and classes, compared with others."""

import json

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage.files import write_json
from tf_bdecay.training.run_folder import pictures_record

RECORD = {
    "layout": "class folders under x/train; no pictures in x/train/c",
    "classes": ["a", "b"],
    "number of train pictures": 9,
    "skipped pictures": [["train", "x/1.jpg"]],
}
MOVED = {
    **RECORD,
    "layout": "class folders under /y/x/train; no pictures in /y/x/train/c",
    "skipped pictures": [["train", "/y/x/1.jpg"]],
}


def run_at(folder, data="pictures", classes="ab"):
    (folder / "checkpoints").mkdir(parents=True)
    write_json(folder / "config.json", {"data.name": data})
    if data == "pictures":
        write_json(folder / "pictures.json", {"classes": list(classes)})
    return folder


def test_other_pictures_are_refused_by_what_differs(tmp_path):
    pictures_record.check_same(tmp_path, RECORD, "go")  # of no run that says which it has
    write_json(tmp_path / "pictures.json", RECORD)
    pictures_record.check_same(tmp_path, MOVED, "go")
    said = (
        "their classes, number of train pictures differ from pictures.json. Put them back, or "
        "choose another one."
    )
    with pytest.raises(BadInput, match=said):
        other = {**RECORD, "classes": ["a", "c"], "number of train pictures": 8}
        pictures_record.check_same(tmp_path, other, "choose another one")
    assert json.loads((tmp_path / "pictures.json").read_text()) == RECORD


def test_a_digest_is_of_all_but_where_the_pictures_lie():
    assert pictures_record.digest(RECORD) == pictures_record.digest(MOVED)
    assert pictures_record.digest(RECORD) != pictures_record.digest(
        {**RECORD, "classes": ["a", "c"]}
    )


def test_the_classes_of_weights_are_those_of_the_run_around_them(tmp_path):
    run = run_at(tmp_path / "run")
    for weights in ("model.keras", "checkpoints/update_00000003.npz"):
        assert pictures_record.classes_of(run / weights) == ("a", "b")
    digits = run_at(tmp_path / "digits", "digits")
    assert pictures_record.classes_of(digits / "model.keras") == tuple("0123456789")
    assert pictures_record.classes_of(tmp_path / "model.keras") is None
    (tmp_path / "config.json").write_text("[]")  # of something else
    assert pictures_record.classes_of(tmp_path / "model.keras") is None


@pytest.mark.parametrize(
    "there, here, difference, note",
    [
        (None, "ab", "", ""),
        ("ab", None, "", ""),
        ("ab", "ab", "", ""),
        ("abc", "ab", "3 classes there, 2 here", ""),
        ("abc", "acb", "class 1 is 'b' there and 'c' here", ""),
        ("01", "12", "class 0 is '0' there and '1' here", ""),
        ("ab", "01", "", "class 0 is 'a' there and '0' here: taken to be the same classes in"),
    ],
)
def test_classes_are_compared_by_name_and_order(there, here, difference, note):
    found = pictures_record.compared(there, here and tuple(here))
    assert found[0] == difference and found[1].startswith(note) and bool(found[1]) == bool(note)
