"""Several workers begin one run together, or each says why not."""

import concurrent.futures

import pytest
import tensorflow as tf

from tf_bdecay.distribution import cluster
from tf_bdecay.errors import BadInput
from tf_bdecay.launching import processes
from tf_bdecay.training.config import config_file
from tf_bdecay.training_command import command_line, together


def options(*arguments):
    return command_line.parse(["--start_timeout=20", *arguments], config_file.ROOT)


def outcomes(*of_workers):
    """What `wait` raises for each of these options, None where the worker may go on."""
    addresses = tuple(processes.free_addresses(len(of_workers)))

    def one(index):
        made = cluster.Cluster(addresses, index)
        try:
            with together.wait(of_workers[index], made, made.bind(), None, "main.py"):
                return None
        except BadInput as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(len(of_workers)) as pool:
        return list(pool.map(one, range(len(of_workers))))


def test_workers_of_one_config_go_on():
    assert outcomes(options(), options()) == [None, None]


@pytest.mark.parametrize(
    "other, named",
    [("--config.epochs=3", "config.epochs is 3"), ("--deterministic", "deterministic is True")],
)
def test_another_setting_is_named_to_all(other, named):
    first, second = outcomes(options(), options(other))
    assert first == second and named in first


def test_a_worker_without_images_gets_its_own_sentence(tmp_path):
    alone = cluster.Cluster(("localhost:1",), 0)
    lacking = options("--config=cifar10_resnet18", f"--data_dir={tmp_path}")
    with pytest.raises(BadInput, match="prepared in"):
        together.same_images(lacking, alone, tf.distribute.get_strategy())


def test_the_images_are_those_of_the_config():
    alone = cluster.Cluster(("localhost:1",), 0)
    images = together.same_images(options(), alone, tf.distribute.get_strategy())
    assert images.num_classes == 10 and images.name == "digits"
