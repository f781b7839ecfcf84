"""The table of flags: unique names, defaults of the right type, texts for --help."""

import pytest

from tf_bdecay.training_command.flag_table import FLAGS, RESUME


def test_names_are_there_once():
    names = [flag.name for flag in FLAGS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_a_default_is_of_its_kind_and_the_words_fit_a_line(flag):
    assert flag.default is None or type(flag.default) is flag.kind
    assert flag.doc and len(flag.doc) <= 80 and not flag.doc.endswith(".")


def test_the_default_of_resume_is_one_of_its_values():
    assert next(flag.default for flag in FLAGS if flag.name == "resume") in RESUME
