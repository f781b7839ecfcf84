"""The parts of a run that follow from its config and data."""

import types

import keras
import pytest

import tf_bdecay
from configs import cifar10_resnet18, common, digits_resnet18
from tf_bdecay.distribution import strategies
from tf_bdecay.errors import BadInput
from tf_bdecay.training.building import parts


def images(count, name="digits"):
    return types.SimpleNamespace(name=name, train=range(count), validation=None)


def test_a_batch_larger_than_the_set_is_refused():
    with pytest.raises(BadInput, match="batch_size=8192 is larger than the 1438 training images"):
        parts.run_size(cifar10_resnet18.get_config(), images(1438))


@pytest.mark.parametrize("replicas, rest_fits", [(1, True), (2, False)])
def test_a_kept_remainder_must_be_whole_ghost_batches(replicas, rest_fits):
    config = digits_resnet18.get_config()
    config.data.remainder = "keep"
    count = 3 * config.batch_size + 32
    if rest_fits:
        size = parts.run_size(config, images(count), replicas)
        assert size.updates_per_epoch == 4
    else:
        with pytest.raises(
            BadInput, match="last batch of an epoch.* or config.data.remainder=drop. .* 32$"
        ):
            parts.run_size(config, images(count), replicas)


@pytest.mark.parametrize("replicas, refused", [(1, False), (2, True)])
def test_pictures_that_are_mixed_must_be_in_one_replicas_part(replicas, refused):
    config = digits_resnet18.get_config()
    config.model.ghost_batch_size, config.batch_size, config.data.mixup = 1, 6, 0.2
    if not refused:
        parts.run_size(config, images(20), replicas)
        return
    strategy = types.SimpleNamespace(num_replicas_in_sync=replicas)
    with pytest.raises(BadInput, match="pictures that are mixed=2 must divide config.batch_size"):
        parts.check_strategy(config, strategy)
    config.batch_size, config.data.remainder = 8, "keep"
    parts.check_strategy(config, strategy)
    with pytest.raises(BadInput, match="last batch of an epoch.* or config.data.remainder=drop"):
        parts.run_size(config, images(22), replicas)


def test_updates_an_execution_must_divide_an_epoch():
    config = digits_resnet18.get_config()
    config.steps_per_execution = 2
    with pytest.raises(
        BadInput, match="config.steps_per_execution=2 must divide the updates of an epoch.* 3$"
    ):
        parts.run_size(config, images(1438))
    config.steps_per_execution = 3
    assert parts.run_size(config, images(1438)).updates_per_epoch == 3


def test_epochs_are_evaluated_on_what_was_set_aside():
    config = digits_resnet18.get_config()
    whole = images(1438)
    assert parts.run_size(config, whole).split == "test"
    whole.validation = range(100)
    assert parts.run_size(config, whole).split == "validation"


@pytest.mark.parametrize("replicas, fits", [(1, True), (2, True), (7, False)])
def test_micro_batches_divide_what_a_replica_gets(replicas, fits):
    config = digits_resnet18.get_config()
    config.micro_batch_size = config.batch_size // 2
    strategy = types.SimpleNamespace(num_replicas_in_sync=replicas)
    if fits:
        parts.check_strategy(config, strategy)
        return
    with pytest.raises(
        BadInput, match="micro_batch_size=224 must divide a replica's part .* = 64$"
    ):
        parts.check_strategy(config, strategy)


def test_float16_gets_loss_scaling_and_others_do_not():
    config = digits_resnet18.get_config()
    made = {}
    for precision in ("float32", "mixed_bfloat16", "mixed_float16"):
        config.precision = precision
        with parts.precision(config):
            layer = keras.layers.Dense(1)
        made[precision] = parts.make_optimizer(config, 0.01), layer.compute_dtype
    assert isinstance(made["mixed_float16"][0], tf_bdecay.LossScaleOptimizer)
    assert isinstance(made["mixed_bfloat16"][0], tf_bdecay.Lamb)
    assert [dtype for _, dtype in made.values()] == ["float32", "bfloat16", "float16"]
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    "name, cls", [("lamb", "Lamb"), ("lars", "Lars"), ("adamw", "AdamW"), ("sgd", "SGD")]
)
def test_every_optimizer_has_the_defaults_of_its_keys(name, cls):
    config = common.vary(getattr(common, name)("mine"), "adaptive")
    found = parts.make_optimizer(config, 0.01)
    own = getattr(tf_bdecay, cls)(0.01, weight_decay=found.weight_decay, name=found.name)
    assert found.get_config() == own.get_config()
    config.optimizer.rate_multipliers = "gamma=0.5,stem_bn/.*=2"
    found = parts.make_optimizer(config, 0.01)
    assert found.rate_multipliers == {"gamma": 0.5, "stem_bn/.*": 2.0}


class Replicas:
    """A strategy as far as the check looks at it."""

    num_replicas_in_sync = 3


def test_replicas_must_share_whole_ghost_batches():
    config = cifar10_resnet18.get_config()
    with pytest.raises(
        BadInput, match="replicas=3 x config.model.ghost_batch_size=32 .* a multiple of 96"
    ):
        parts.check_strategy(config, Replicas())
    config.batch_size = 96 * 10
    parts.check_strategy(config, Replicas())


def test_a_whole_step_is_compiled_without_a_strategy_only():
    config = cifar10_resnet18.get_config()
    config.jit_compile = True
    parts.check_strategy(config, None)
    config.batch_size = 96
    with pytest.raises(BadInput, match="jit_compile=true works with --strategy=none only"):
        parts.check_strategy(config, Replicas())


def test_many_workers_take_one_step_an_execution_and_no_probe(monkeypatch):
    class Workers(Replicas):
        num_replicas_in_sync = 2

    monkeypatch.setattr(strategies, "is_multi_worker", lambda strategy: True)
    config = cifar10_resnet18.get_config()
    parts.check_strategy(config, Workers())
    config.steps_per_execution = 2
    with pytest.raises(BadInput, match="steps_per_execution=2 must be 1"):
        parts.check_strategy(config, Workers())
    config = cifar10_resnet18.get_config("adaptive")
    config.decay.source = "probe"
    with pytest.raises(BadInput, match="source=probe does not go with"):
        parts.check_strategy(config, Workers())


def test_sharpness_aware_as_the_config_says():
    config = digits_resnet18.get_config()
    assert parts.make_sharpness_aware(config) is None
    for kind, found in (("sam", {"rho": 0.05}), ("asam", {"rho": 0.5, "eta": 0.01})):
        config.sharpness_aware.kind = kind
        assert parts.make_sharpness_aware(config).get_config() == {"kind": kind, **found}
    config.sharpness_aware.update({"rho": 0.2, "eta": 0.1})
    assert parts.make_sharpness_aware(config).rho == 0.2


def test_the_optimizer_keeps_an_average_where_the_config_has_its_momentum():
    config = digits_resnet18.get_config()
    assert not parts.make_optimizer(config, 0.1).use_ema
    config.ema.momentum = 0.9
    optimizer = parts.make_optimizer(config, 0.1)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.9)


def test_the_noise_scale_needs_parts_of_a_batch_and_norms_of_the_optimizer():
    config = digits_resnet18.get_config()
    assert not parts.make_optimizer(config, 0.1).gradient_norms
    config.log.gradient_noise_scale = True
    assert parts.make_optimizer(config, 0.1).gradient_norms
    for size in (None, config.batch_size):
        config.micro_batch_size = size
        with pytest.raises(BadInput, match=f"Received: config.micro_batch_size={size}, .* 1 rep"):
            parts.check_strategy(config, None)
    config.micro_batch_size = config.batch_size // 2
    parts.check_strategy(config, None)
