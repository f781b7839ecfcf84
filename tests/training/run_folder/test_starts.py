"""A run continues only with the weights and settings that it began with."""

import json
import re

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.training.run_folder import weights
from tf_bdecay.training.run_folder.starts import Starts

OTHERWISE = "choose another folder"


@pytest.mark.parametrize(
    "starts, now, said",
    [
        ([], True, None),
        ([{"from": {"update": 0}}], True, None),  # of a version that did not record it
        ([{"from": {"update": 0}, "deterministic": True}], True, None),
        ([{"from": {"update": 0}, "deterministic": True}], False, "with .* goes on without it"),
        (
            [
                {"from": {"update": 0}, "deterministic": False},
                {"from": {"update": 0}, "deterministic": True},  # no checkpoint: all over again
            ],
            True,
            None,
        ),
    ],
)
def test_what_is_said_about_determinism(tmp_path, starts, now, said):
    (tmp_path / "versions.json").write_text(json.dumps(starts))
    lines = []
    Starts(tmp_path, OTHERWISE).check_deterministic(now, lines.append)
    assert len(lines) == (said is not None)
    assert said is None or re.search(said, lines[0])


def begun(path, record):
    """Of a run that started as the record says, and went on."""
    path.mkdir()
    starts = Starts(path, OTHERWISE)
    starts.add({"from": {"update": 0, "epoch": 0}, **record})
    starts.add({"from": {"update": 3, "epoch": 0}})
    return starts


def test_a_run_goes_on_with_the_weights_that_it_began_from_and_with_no_others(tmp_path):
    one, same, other = (tmp_path / name for name in ("one.npz", "same.npz", "other.npz"))
    (tmp_path / "config.json").write_text('{"model.name": "resnet18"}')
    folder = tmp_path / "weights"
    folder.mkdir()
    for path, content in ((one, b"1"), (same, b"1"), (other, b"2")):
        (folder / path.name).write_bytes(content)
    one, same, other = (folder / path.name for path in (one, same, other))
    record = weights.find(one).record()
    starts = begun(tmp_path / "run", {"init_from": record})
    for given in (one, str(one), same):
        starts.check_initial(given)
    for given in (other, tmp_path / "nowhere"):
        with pytest.raises(BadInput, match=re.escape(f"began from {one}, not from --init_from=")):
            starts.check_initial(given)
    one.unlink()  # a run that goes on needs them no more
    starts.check_initial(one)
    with pytest.raises(BadInput, match="began from new weights, not from --init_from="):
        begun(tmp_path / "new", {}).check_initial(other)


@pytest.mark.parametrize("record", [1, {}, {"path": 1, "sha256": ""}])
def test_a_record_of_weights_that_is_none_is_refused(tmp_path, record):
    starts = Starts(tmp_path, OTHERWISE)
    starts.add({"init_from": record})
    with pytest.raises(BadInput, match=f"versions.json is not as .*: {OTHERWISE}. Received"):
        starts.all()
