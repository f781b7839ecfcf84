"""A run of the small network, which several test files examine."""

import io

import pytest
from rich.console import Console

from configs import digits_resnet18


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(experiment, path of its workdir, result) of one epoch, with a validation split."""
    # TensorFlow's, which the files for any backend do without.
    from tests.training.small import network
    from tf_bdecay.training import running
    from tf_bdecay.training.building import experiment, parts
    from tf_bdecay.training.config.checks import check
    from tf_bdecay.training.config.dotted import flatten
    from tf_bdecay.training.run_folder.workdir import Workdir

    path = tmp_path_factory.mktemp("finished") / "run"
    config = digits_resnet18.get_config()
    changes = {"batch_size": 352, "epochs": 1, "model.width": 4, "data.validation": 0.1}
    config.update_from_flattened_dict(changes)
    check(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "make_model", lambda *_: network())
        made = experiment.build(config)
    workdir = Workdir(path, flatten(config))
    result = running.train(made, workdir, Console(file=io.StringIO(), width=500))
    return made, path, result


@pytest.fixture
def small(monkeypatch):
    """A network of two convolutions in place of ResNet18."""
    from tests.training.small import network
    from tf_bdecay.training.building import parts

    monkeypatch.setattr(parts, "make_model", lambda *_: network())
