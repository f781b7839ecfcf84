"""The range of every key, and combinations that are refused."""

import math

import pytest

from configs import cifar10_resnet18, cifar10_resnet18_sgd, cifar10_vgg11
from tf_bdecay.errors import BadInput
from tf_bdecay.training.config.checks import check, misplaced
from tf_bdecay.training.config.dotted import flatten


def resnet():
    return cifar10_resnet18.get_config()


def refuse(config, *parts):
    with pytest.raises(BadInput) as caught:
        check(config)
    sentence = str(caught.value)
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence, sentence


def test_the_papers_config_passes():
    check(resnet())
    check(cifar10_resnet18_sgd.get_config())
    check(cifar10_vgg11.get_config())


@pytest.mark.parametrize(
    "path, value",
    [
        ("batch_size", 0),
        ("epochs", -1),
        ("seed", -1),
        ("seed", 2**31),
        ("ema.momentum", 1.0),
        ("label_smoothing", 1.0),
        ("label_smoothing", math.nan),
        ("data.validation", 1.0),
        ("data.randaugment", 0),
        ("data.randaugment_magnitude", 1.1),
        ("data.mixup", 0.0),
        ("data.cutmix", -1.0),
        ("model.ghost_batch_size", 0),
        ("model.width", 0),
        ("model.bn_epsilon", 0.0),
        ("model.bn_momentum", 1.0),
        ("optimizer.beta_1", 1.0),
        ("optimizer.beta_2", -0.1),
        ("optimizer.epsilon", -1e-6),
        ("optimizer.trust_clip", 0.0),
        ("optimizer.global_clipnorm", math.nan),
        ("learning_rate.peak", -0.1),
        ("learning_rate.peak", math.inf),
        ("learning_rate.warmup", 1.1),
        ("learning_rate.base_batch", 0),
        ("decay.kernel", -0.01),
        ("decay.kernel", math.inf),
        ("decay.beta", math.nan),
        ("decay.threshold", math.nan),
        ("decay.threshold", -0.1),
        ("max_skipped_updates", 0),
        ("steps_per_execution", 0),
        ("log.checkpoints_kept", 0),
        ("experiment", "a/b"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_would_be_right(path, value):
    config = resnet()
    config.update_from_flattened_dict({path: value})
    refuse(config, f"config.{path} must be ", f"Received: {value!r}")


@pytest.mark.parametrize("threshold", [0.0, 0.1, math.inf])
def test_thresholds_from_always_to_never_are_right(threshold):
    config = resnet()
    config.decay.threshold = threshold
    check(config)


@pytest.mark.parametrize(
    "path, value, nearest",
    [
        ("data.name", "cifar11", "cifar10"),
        ("data.remainder", "dropp", "drop"),
        ("model.name", "resnt18", "resnet18"),
        ("model.normalization", "gost", "ghost"),
        ("model.frozen", "betta", "beta"),
        ("optimizer.name", "lam", "lamb"),
        ("optimizer.layer_adaptation", "kernel", "kernels"),
        ("learning_rate.schedule", "polynomal", "polynomial"),
        ("decay.policy", "adaptve", "adaptive"),
        ("decay.source", "updates", "update"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(path, value, nearest):
    config = resnet()
    config.update_from_flattened_dict({path: value})
    refuse(config, f"config.{path}", repr(value), f"did you mean {nearest!r}")


def test_a_wrong_type_in_a_users_own_file_is_refused():
    config = resnet().unlock()
    with config.ignore_type():
        config.batch_size = 512.0
    refuse(config, "config.batch_size must be a whole number >= 1, below 2^31. Received: 512.0")
    config = resnet()
    with config.ignore_type():
        config.epochs = True
    refuse(config, "config.epochs", "True")


def test_a_missing_key_is_named_with_its_meaning():
    config = resnet()
    del config["epochs"]
    refuse(config, "lacks 'epochs'", "passes over the training images")
    config = resnet()
    del config.model["name"]
    refuse(config, "lacks 'model.name'")


def test_an_unknown_key_is_answered_with_the_nearest():
    config = resnet()
    config.batchsize = 3
    refuse(config, "'batchsize'", "did you mean 'batch_size'")
    flat = flatten(resnet())
    assert "did you mean 'learning_rate.peak'" in str(misplaced("peek", flat))
    assert str(misplaced("nothing", flat)) == (
        "Unknown config key 'nothing': --help lists them all."
    )


@pytest.mark.parametrize(
    "path, value, unused",
    [
        ("optimizer.name", "sgd", "optimizer.beta_1"),
        ("learning_rate.schedule", "cosine", "learning_rate.base_batch"),
        ("decay.policy", "no_bias", "decay.beta"),
        ("model.name", "vgg11", "evaluation_statistics"),
    ],
)
def test_a_key_that_the_choice_has_no_use_for_is_refused(path, value, unused):
    config = resnet()
    config.update_from_flattened_dict({path: value})
    refuse(config, f"config.{unused} has no meaning with config.{path}={value}")


def test_every_key_of_a_choice_is_told_where_it_belongs():
    flat = flatten(cifar10_resnet18_sgd.get_config())
    sentence = str(misplaced("optimizer.trust_clip", flat))
    assert "only with lamb" in sentence


@pytest.mark.parametrize(
    "batch, near",
    [(100, "as 96 or 128"), (31, "as 32"), (8193, "as 8192 or 8224")],
)
def test_a_batch_of_no_whole_ghost_batches(batch, near):
    config = resnet()
    config.batch_size = batch
    refuse(config, f"config.batch_size={batch}", "config.model.ghost_batch_size=32", near)


def test_batch_normalization_takes_any_batch():
    config = resnet()
    config.batch_size = 100
    config.model.normalization = "batch"
    check(config)


@pytest.mark.parametrize("frozen", ["beta", "gamma", "bn"])
def test_adaptive_decay_without_a_pair_is_refused(frozen):
    config = resnet()
    config.model.frozen = frozen
    refuse(config, "adaptive", f"config.model.frozen={frozen}")


def test_adaptive_decay_without_normalization_is_refused():
    config = cifar10_vgg11.get_config()
    config.decay, config.variant = resnet().decay, "adaptive"
    refuse(config, "adaptive", "vgg11 has no such pair")


def test_a_probe_needs_its_numbers_and_nothing_else_does():
    config = resnet()
    config.decay.source = "probe"
    refuse(config, "config.decay.probe_every must be >= 1 with config.decay.source=probe")
    config.decay.probe_every = 5
    config.decay.probe_examples = 65
    refuse(config, "config.decay.probe_examples=65", "multiple")
    config.decay.probe_examples = 64
    check(config)
    config.decay.source = "update"
    refuse(config, "config.decay.probe_every must be 0")


@pytest.mark.parametrize(
    "changes, parts",
    [
        ({"rho": 0.1}, ["config.sharpness_aware.rho has no meaning", "kind=none", "only with sam"]),
        ({"kind": "sam", "eta": 0.1}, ["config.sharpness_aware.eta", "kind=sam, only with asam"]),
        ({"kind": "asma"}, ["'asma'", "asam"]),
        ({"kind": "sam", "rho": 0.0}, ["config.sharpness_aware.rho must be a number > 0"]),
    ],
)
def test_sharpness_aware_numbers_need_their_kind(changes, parts):
    config = resnet()
    config.sharpness_aware.update(changes)
    refuse(config, *parts)
    config.sharpness_aware.update({"kind": "asam", "rho": 0.5, "eta": 0.1})
    check(config)


def test_a_magnitude_needs_operations_and_these_need_colours():
    config = resnet()
    config.data.randaugment_magnitude = 0.5
    refuse(config, "no meaning without config.data.randaugment", "Received: 0.5")
    config.data.randaugment = 2
    check(config)
    config.data.name = "digits"
    refuse(config, "config.data.randaugment changes colours, and the digits are grey")


def test_warmup_longer_than_the_run():
    config = cifar10_resnet18_sgd.get_config()
    config.epochs = 5
    refuse(config, "warmup_epochs=10", "config.epochs=5")


@pytest.mark.parametrize(
    "changes, parts",
    [
        (
            {"micro_batch_size": 48},
            ["ghost_batch_size=32 must divide config.micro_batch_size", "micro_batch_size=48"],
        ),
        (
            {"micro_batch_size": 96},
            ["config.micro_batch_size=96 must divide config.batch_size", "batch_size=8192"],
        ),
        (
            {"micro_batch_size": 32, "model.normalization": "batch"},
            ["normalization=batch needs its batch whole", "config.micro_batch_size=32"],
        ),
        ({"precision": "float16"}, ["'float16'", "mixed_float16"]),
        (
            {"precision": "mixed_float16", "optimizer.skip_nonfinite": False},
            ["config.optimizer.skip_nonfinite must be true"],
        ),
    ],
)
def test_micro_batches_and_precision_that_cannot_be(changes, parts):
    config = resnet()
    for path, value in changes.items():
        config.update_from_flattened_dict({path: value})
    refuse(config, *parts)


def test_the_noise_scale_does_not_go_with_sam():
    config = resnet()
    config.log.gradient_noise_scale = True
    check(config)
    config.sharpness_aware.kind = "sam"
    with pytest.raises(BadInput, match="^config.log.gradient_noise_scale .* leave one of them out"):
        check(config)
