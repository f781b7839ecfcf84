"""The training command uses the name it was called by; tests/test_main.py has the rest."""

import pytest

from tf_bdecay.training_command import run


@pytest.mark.parametrize("program", ["main.py", "tf-bdecay train"])
def test_sentences_begin_with_the_program(program, capsys):
    assert run.run_command(["--config.epochz=2"], program) == (2, None)
    assert capsys.readouterr().err.startswith(f"{program}: Unknown config key 'epochz'")
    assert run.run_command(["run"], program) == (2, None)
    assert f"{program} takes flags only" in capsys.readouterr().err


def test_help_has_the_program_in_its_examples(capsys):
    assert run.run_command(["--help"], "tf-bdecay train") == (0, None)
    page = capsys.readouterr().out
    assert "  tf-bdecay train --config=cifar10_resnet18:beta" in page and "main.py" not in page
