"""A command's flags are read from a table: values, other arguments, sentences on wrong ones."""

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.terminal import flag_reading
from tf_bdecay.terminal.flag_reading import Flag

TABLE = (
    Flag(str, "name", None, "a name"),
    Flag(int, "count", 2, "how many (2)"),
    Flag(float, "rate", 0.5, "how fast (0.5)"),
    Flag(bool, "quiet", False, "say nothing"),
    Flag(list, "parts", [], "some parts"),
    Flag(int, "of.config", None, "a key", "a whole number >= 1"),
)


def read(*arguments):
    found, rest = flag_reading.read(TABLE, arguments, "prog")
    return found.flag_values_dict(), rest


def test_defaults_and_values():
    defaults = {"name": None, "count": 2, "rate": 0.5, "quiet": False, "parts": []}
    assert read() == ({**defaults, "of.config": None}, [])
    values, rest = read("--name=a=b", "--count", "3", "--quiet", "--parts=x,y", "one", "two")
    given = {"name": "a=b", "count": 3, "quiet": True, "parts": ["x", "y"]}
    assert values == {**defaults, "of.config": None, **given}
    assert rest == ["one", "two"]


def test_flags_behind_other_arguments_are_read():
    values, rest = read("one", "--count=3")
    assert (values["count"], rest) == (3, ["one"])


def test_which_were_given_is_known():
    found, _ = flag_reading.read(TABLE, ["--count=2"], "prog")
    assert found["count"].present and not found["rate"].present


@pytest.mark.parametrize(
    "argument, sentence",
    [
        ("--cuont=3", "Unknown flag '--cuont': did you mean '--count'?"),
        ("--count=many", "--count must be a whole number. Received: 'many'"),
        ("--rate=fast", "--rate must be a number. Received: 'fast'"),
        ("--quiet=perhaps", "--quiet must be true or false. Received: 'perhaps'"),
        ("--count=\uff11\uff12", "--count must be written in the digits 0 to 9."),
        ("--count \uff11\uff12", "--count must be written in the digits 0 to 9."),
        ("--rate=1_0", "--rate must be written in the digits 0 to 9. Received: '1_0'"),
        ("--of.config=many", "--of.config must be a whole number >= 1. Received: 'many'"),
        ("--name --quiet", "--name needs a value and is followed by another flag: write --name="),
        ("--noquiet=true", "The command line cannot be read: "),
    ],
)
def test_what_is_wrong_is_one_sentence(argument, sentence):
    with pytest.raises(BadInput) as error:
        read(*argument.split(" "))
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull", "-help", "-?"])
def test_help_is_asked_for(flag):
    assert flag_reading.asks_for_help(["--count=3", flag])
    assert not flag_reading.asks_for_help(["--count=3", "help"])


@pytest.mark.parametrize("flag", ["--traceback", "-traceback", "--traceback=true", "--traceback=1"])
def test_a_traceback_is_asked_for(flag):
    assert flag_reading.asks_for_traceback(["--count=3", flag])


@pytest.mark.parametrize("argument", ["--traceback=false", "--notraceback", "traceback"])
def test_no_traceback_is_asked_for(argument):
    assert not flag_reading.asks_for_traceback(["--count=3", argument])


def test_the_lines_of_a_help_page():
    lines = flag_reading.lines(TABLE, 10).splitlines()
    assert lines[0] == "  --name     a name" and len(lines) == len(TABLE)


@pytest.mark.parametrize("kind, text, value", [(str, "a", "a"), (int, "3", 3), (float, "3", 3.0)])
def test_an_optional_flag_takes_the_word_unset(kind, text, value):
    table = (Flag(kind, "it", None, "what it is", "a number, or unset", optional=True),)
    for arguments, meant in (
        (["--it=unset"], None),
        (["--it", "unset"], None),
        ([f"--it={text}"], value),
    ):
        found, _ = flag_reading.read(table, arguments, "prog")
        assert found["it"].present and found.it == meant
    if kind is not str:
        with pytest.raises(BadInput, match="--it must be a number, or unset. Received: 'none'"):
            flag_reading.read(table, ["--it=none"], "prog")
