"""Reading a command's flags from a table: values, other arguments, sentences for what is wrong."""

import pytest
from absl import flags

from tf_bdecay import flag_reading
from tf_bdecay.errors import BadInput

TABLE = (
    (flags.DEFINE_string, "name", None, "a name"),
    (flags.DEFINE_integer, "count", 2, "how many (2)"),
    (flags.DEFINE_float, "rate", 0.5, "how fast (0.5)"),
    (flags.DEFINE_boolean, "quiet", False, "say nothing"),
    (flags.DEFINE_list, "parts", [], "some parts"),
)


def read(*arguments):
    found, rest = flag_reading.read(TABLE, arguments, "prog")
    return {name: flag.value for name, flag in found.items()}, rest


def test_defaults_and_values():
    assert read() == (
        {"name": None, "count": 2, "rate": 0.5, "quiet": False, "parts": []},
        [],
    )
    values, rest = read("--name=a=b", "--count", "3", "--quiet", "--parts=x,y", "one", "two")
    assert values == {"name": "a=b", "count": 3, "rate": 0.5, "quiet": True, "parts": ["x", "y"]}
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
        ("--noquiet=true", "The command line cannot be read: "),
    ],
)
def test_what_is_wrong_is_one_sentence(argument, sentence):
    with pytest.raises(BadInput) as error:
        read(argument)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull", "-help", "-?"])
def test_help_is_asked_for(flag):
    assert flag_reading.asks_for_help(["--count=3", flag])
    assert not flag_reading.asks_for_help(["--count=3", "help"])


def test_the_lines_of_a_help_page():
    lines = flag_reading.lines(TABLE, 10).splitlines()
    assert lines[0] == "  --name     a name" and len(lines) == len(TABLE)
