"""TensorBoard's own loader reads the event files, which are cut back to a checkpoint."""

import io

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from tf_bdecay.storage import events
from tf_bdecay.storage.events import Events


def load(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def write(folder, updates, epochs=()):
    made = Events(folder)
    for update in updates:
        made.scalars(update, {"x": update})
        if update in epochs:
            made.scalars(update, {"epoch/loss": update})
    made.flush()
    return made


def test_a_run_that_goes_on_has_neither_holes_nor_repeats_in_the_raw_files(tmp_path):
    write(tmp_path, [1, 2, 3, 4])
    events.cut_back(tmp_path, 2, 0)
    write(tmp_path, [3, 4, 5]).restarted(2)
    expected = [("x", update, float(update)) for update in (1, 2, 3, 4, 5)]
    assert events.read(tmp_path) == expected
    assert [(e.step, e.value) for e in load(tmp_path).Scalars("x")] == [e[1:] for e in expected]


def test_the_scalars_of_an_epoch_belong_to_its_end(tmp_path):
    write(tmp_path, [1, 2], epochs=[2])
    events.cut_back(tmp_path, 2, 0)  # all updates done, its evaluation not
    assert [tag for tag, *_ in events.read(tmp_path)] == ["x", "x"]


def test_a_record_cut_short_by_a_kill_is_dropped(tmp_path):
    path = write(tmp_path, [1, 2, 3]).path
    path.write_bytes(path.read_bytes()[:-5])
    assert [step for _, step, _ in events.read(tmp_path)] == [1, 2]
    events.cut_back(tmp_path, 9, 9)
    size = path.stat().st_size
    events.cut_back(tmp_path, 9, 9)
    assert path.stat().st_size == size
    assert len(load(tmp_path).Scalars("x")) == 2


def offsets(path):
    """Where the records of a sound file begin."""
    found, content = [0], path.read_bytes()
    while found[-1] < len(content):
        found.append(found[-1] + 16 + int.from_bytes(content[found[-1] :][:8], "little"))
    return found[:-1]


# From the first byte of the record of update 2: its length, its checksum, its data, all of it.
@pytest.mark.parametrize("place, count", [(0, 1), (7, 1), (9, 2), (20, 1), (0, 40), (5, 60)])
def test_a_damaged_record_loses_itself_alone_and_is_said_once(tmp_path, place, count):
    path = write(tmp_path, [1, 2, 3, 4, 5]).path
    begin, end = offsets(path)[2:4]  # the first says the version, the second is of update 1
    count = min(count, end - begin - place)
    content = bytearray(path.read_bytes())
    for i in range(begin + place, begin + place + count):
        content[i] ^= 0x5A
    path.write_bytes(content)
    assert [step for _, step, _ in events.read(tmp_path)] == [1, 3, 4, 5]
    said = []
    events.cut_back(tmp_path, 4, 4, said.append)
    assert said == [
        f"Warning: {path} is damaged from byte {begin} on, after the events of update 1: "
        f"{end - begin} bytes of events are lost, all others are kept."
    ]
    events.cut_back(tmp_path, 4, 4, said.append)
    assert len(said) == 1
    assert [e.step for e in load(tmp_path).Scalars("x")] == [1, 3, 4]


def test_bytes_that_went_missing_or_came_in_lose_what_they_hit(tmp_path):
    path = write(tmp_path, [1, 2, 3, 4]).path
    at, content = offsets(path), path.read_bytes()
    path.write_bytes(
        content[: at[1]] + b"\0" * 50 + content[at[1] : at[2] + 10] + content[at[3] :] + b"\1" * 99
    )
    said = []
    events.cut_back(tmp_path, 9, 9, said.append)
    assert len(said) == 1 and f"byte {at[1]} on" in said[0]
    assert f"{50 + 10 + 99} bytes" in said[0]
    assert [step for _, step, _ in events.read(tmp_path)] == [1, 3, 4]


def test_a_record_that_holds_no_event_is_damage_too(tmp_path):
    path = write(tmp_path, [1, 2]).path
    at, content = offsets(path), path.read_bytes()
    strange = io.BytesIO()
    RecordWriter(strange).write(b"\xff" * 9)
    path.write_bytes(content[: at[2]] + strange.getvalue() + content[at[2] :])
    said = []
    events.cut_back(tmp_path, 9, 9, said.append)
    assert len(said) == 1 and "25 bytes" in said[0]
    assert [step for _, step, _ in events.read(tmp_path)] == [1, 2]


def test_what_a_kill_cut_short_is_no_damage(tmp_path):
    path = write(tmp_path, [1, 2]).path
    last, content, said = offsets(path)[-1], path.read_bytes(), []
    for size in range(last + 1, len(content)):
        path.write_bytes(content[:size])
        events.cut_back(tmp_path, 9, 9, said.append)
        assert path.read_bytes() == content[:last]
    assert said == []


def test_a_run_that_starts_again_from_the_beginning_has_no_old_files(tmp_path):
    write(tmp_path, [1, 2])
    events.cut_back(tmp_path, 0, 0)
    assert events.read(tmp_path) == []


def test_nothing_is_lost_where_it_could_not_be_written(tmp_path):
    made = Events(tmp_path)
    made.scalars(1, {"x": 1})
    made.path.mkdir()
    with pytest.raises(OSError):
        made.flush()
    made.path.rmdir()
    made.flush()
    assert events.read(tmp_path) == [("x", 1, 1.0)]


def test_text_is_a_page_of_tensorboards_text_dashboard(tmp_path):
    made = Events(tmp_path)
    made.text("config", "    a = caf\udce9")  # a name that is no UTF-8
    made.flush()
    accumulator = load(tmp_path)
    assert accumulator.Tensors("config")[0].tensor_proto.string_val[0] == rb"    a = caf\udce9"
    assert accumulator.SummaryMetadata("config").plugin_data.plugin_name == "text"


def test_a_tag_is_described_once_and_read_as_before(tmp_path):
    asked = []
    made = Events(tmp_path)
    for update in (1, 2):
        made.scalars(
            update, {"x": update, "y": 0.5}, lambda tag: asked.append(tag) or f"of *{tag}*"
        )
    made.flush()
    accumulator = load(tmp_path)
    assert asked == ["x", "y"]
    read = [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in accumulator.Tensors("x")]
    assert read == [(1, 1.0), (2, 2.0)]
    assert events.read(tmp_path) == [("x", 1, 1.0), ("y", 1, 0.5), ("x", 2, 2.0), ("y", 2, 0.5)]
    metadata = accumulator.SummaryMetadata("x")
    assert metadata.summary_description == "of *x*"
    assert metadata.plugin_data.plugin_name == "scalars"


def test_charts_are_a_layout_of_tensorboards_custom_scalars(tmp_path):
    made = Events(tmp_path)
    made.charts({"A": {"one": ["^x$", "^y/"], "two": ["^z$"]}, "B": {"three": ["^w$"]}})
    made.flush()
    accumulator = load(tmp_path)
    tag = "custom_scalars__config__"
    assert accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "custom_scalars"
    layout = layout_pb2.Layout.FromString(accumulator.Tensors(tag)[0].tensor_proto.string_val[0])
    found = {c.title: {d.title: [*d.multiline.tag] for d in c.chart} for c in layout.category}
    assert found == {"A": {"one": ["^x$", "^y/"], "two": ["^z$"]}, "B": {"three": ["^w$"]}}


def test_a_resumed_run_keeps_its_charts_and_descriptions(tmp_path):
    made = Events(tmp_path)
    made.charts({"A": {"one": ["^x$"]}})
    for update in (1, 2):
        made.scalars(update, {"x": update}, str.upper)
    made.flush()
    events.cut_back(tmp_path, 1, 0)
    accumulator = load(tmp_path)
    assert len(accumulator.Tensors("custom_scalars__config__")) == 1
    assert accumulator.SummaryMetadata("x").summary_description == "X"
    assert len(accumulator.Tensors("x")) == 1
