"""The models to try: small networks of the kinds that users have, with data for them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import tf_bdecay

EXAMPLES = 8
WORDS, LENGTH, CLASSES = 23, 6, 3


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model and its data.

    Attributes:
        make: function that returns the model, which is built but not compiled.
        x, y: its data, as `fit` takes them; y is None if the model has its own losses.
        loss: the loss, as `compile` takes it; None if the model has its own.
        compile: function of (model, make_optimizer, loss, **options) that compiles the model; None
            for the usual way.
    """

    make: Callable
    x: Any
    y: Any = None
    loss: Any = None
    compile: Callable | None = None


def numbers(*shape):
    return np.random.default_rng(0).normal(size=(EXAMPLES, *shape)).astype("float32")


def words(*shape, least=0):
    return np.random.default_rng(1).integers(least, WORDS, (EXAMPLES, *shape)).astype("int32")


def labels(*shape):
    return np.random.default_rng(2).integers(0, CLASSES, (EXAMPLES, *shape))


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# The layer after which each network is cut; every kind of its blocks comes before it. Tracing takes
# the time: a whole network would be traced a dozen times, for minutes on two cores.
_APPLICATIONS = {
    "ResNet50V2": "conv3_block1_out",
    "EfficientNetV2B0": "block4a_project_bn",
    "MobileNetV3Small": "expanded_conv_3_project_bn",
    "ConvNeXtTiny": "convnext_tiny_downsampling_block_1",
    "DenseNet121": "pool2_pool",
}


def application(name):
    """The first blocks of a network in `keras.applications`, for 32x32 pictures, with a head."""

    def make():
        more = {"include_preprocessing": False} if name not in ("ResNet50V2", "DenseNet121") else {}
        whole = getattr(keras.applications, name)(
            input_shape=(32, 32, 3), weights=None, include_top=False, **more
        )
        x = layers.GlobalAveragePooling2D()(whole.get_layer(_APPLICATIONS[name]).output)
        return keras.Model(whole.input, layers.Dense(CLASSES)(x))

    return Subject(make, numbers(32, 32, 3), labels(), cross_entropy())


def _block(x, causal=False):
    y = layers.LayerNormalization()(x)
    x = layers.add([x, layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=causal)])
    y = layers.LayerNormalization()(x)
    return layers.add([x, layers.Dense(8)(layers.Dense(16, activation="gelu")(y))])


def vit():
    def make():
        pictures = keras.Input((16, 16, 3))
        x = layers.Reshape((16, 8))(layers.Conv2D(8, 4, 4)(pictures))
        x = layers.add([x, layers.Embedding(16, 8)(ops.arange(16)[None])])
        for _ in range(2):
            x = _block(x)
        x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
        return keras.Model(pictures, layers.Dense(CLASSES)(x))

    return Subject(make, numbers(16, 16, 3), labels(), cross_entropy())


def gpt():
    def make():
        tokens = keras.Input((LENGTH,), dtype="int32")
        x = layers.Embedding(WORDS, 8)(tokens)
        for _ in range(2):
            x = _block(x, causal=True)
        return keras.Model(tokens, layers.Dense(WORDS)(layers.LayerNormalization()(x)))

    return Subject(make, words(LENGTH), words(LENGTH), cross_entropy())


def lstm_tagger():
    def make():
        tokens = keras.Input((LENGTH,), dtype="int32")
        x = layers.Embedding(WORDS, 8, mask_zero=True)(tokens)
        x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)
        return keras.Model(tokens, layers.Dense(CLASSES)(layers.LayerNormalization()(x)))

    return Subject(make, words(LENGTH), labels(LENGTH), cross_entropy())


def unet():
    def conv(x, width):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    def make():
        pictures = keras.Input((16, 16, 3))
        first = conv(pictures, 4)
        second = conv(layers.MaxPooling2D()(first), 8)
        x = layers.Conv2DTranspose(4, 2, 2)(second)
        x = conv(layers.concatenate([x, first]), 4)
        return keras.Model(pictures, layers.Conv2D(CLASSES, 1)(x))

    return Subject(make, numbers(16, 16, 3), labels(16, 16), cross_entropy())


def siamese():
    def make():
        tower = keras.Sequential(
            [
                keras.Input((5,)),
                layers.Dense(8, use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Dense(4),
            ],
            name="tower",
        )
        one, other = keras.Input((5,)), keras.Input((5,))
        apart = layers.subtract([tower(one), tower(other)])
        return keras.Model([one, other], layers.Dense(1)(layers.multiply([apart, apart])))

    return Subject(make, (numbers(5), numbers(5)[::-1]), labels() % 2, "mse")


def multi_output():
    def make():
        x = inputs = keras.Input((5,))
        x = layers.BatchNormalization()(layers.Dense(8, use_bias=False)(x))
        return keras.Model(
            inputs, {"kind": layers.Dense(CLASSES, name="kind")(x), "size": layers.Dense(1)(x)}
        )

    y = {"kind": labels(), "size": numbers(1)}
    return Subject(make, numbers(5), y, {"kind": cross_entropy(), "size": "mse"})


@keras.saving.register_keras_serializable("trying")
class Sampling(layers.Layer):
    """Draws normal numbers with a mean and a log variance, and adds their divergence as a loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(0)

    def call(self, inputs):
        mean, log_variance = inputs
        divergence = ops.exp(log_variance) + ops.square(mean) - 1 - log_variance
        self.add_loss(0.5 * ops.mean(divergence))
        noise = keras.random.normal(ops.shape(mean), seed=self.seed, dtype=mean.dtype)
        return mean + ops.exp(0.5 * log_variance) * noise


def vae():
    def make():
        x = inputs = keras.Input((6,))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(8, use_bias=False)(x)))
        z = Sampling()([layers.Dense(2)(x), layers.Dense(2)(x)])
        x = layers.ReLU()(layers.LayerNormalization()(layers.Dense(8)(z)))
        return keras.Model(inputs, layers.Dense(6)(x))

    return Subject(make, numbers(6), numbers(6), "mse")


@keras.saving.register_keras_serializable("trying")
class Gan(keras.Model):
    """A generator and a discriminator with an optimizer each, trained by its own `train_step`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        norm = layers.BatchNormalization
        self.generator = keras.Sequential(
            [keras.Input((2,)), layers.Dense(8), norm(), layers.ReLU(), layers.Dense(6)]
        )
        self.discriminator = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(8),
                layers.LayerNormalization(),
                layers.ReLU(),
                layers.Dense(1),
            ]
        )
        self.noise = keras.random.SeedGenerator(0)
        self.built = True

    def compile(self, optimizer, other=None, **kwargs):
        super().compile(optimizer=optimizer, **kwargs)
        self.other = other

    def call(self, x):
        return self.discriminator(x)

    def train_step(self, data):
        import tensorflow as tf

        x = keras.utils.unpack_x_y_sample_weight(data)[0]
        z = keras.random.normal((tf.shape(x)[0], 2), seed=self.noise)
        with tf.GradientTape() as tape, tf.GradientTape() as second:
            fake = self.generator(z, training=True)
            real, made = (self.discriminator(t, training=True) for t in (x, fake))
            loss = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(made))
            fooled = tf.reduce_mean(tf.nn.softplus(-made))
        for optimizer, part, t, value in (
            (self.optimizer, self.discriminator, tape, loss),
            (self.other, self.generator, second, fooled),
        ):
            variables = part.trainable_variables
            optimizer.apply(t.gradient(value, variables), variables)
        return {"loss": loss}


def gan():
    def compile_it(model, make_optimizer, loss, **options):
        first, second = make_optimizer(), make_optimizer()
        for one, part in ((first, model.discriminator), (second, model.generator)):
            ours = isinstance(one, tf_bdecay.Lamb)
            one.build(part if ours else part.trainable_variables)
        model.compile(first, second, **options)

    return Subject(Gan, numbers(6), compile=compile_it)


def lora():
    def make():
        model = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(8, name="adapted"),
                layers.LayerNormalization(),
                layers.ReLU(),
                layers.Dense(CLASSES),
            ]
        )
        model.get_layer("adapted").enable_lora(2)
        return model

    return Subject(make, numbers(6), labels(), cross_entropy())


def int8():
    def make():
        model = lora().make()
        model.quantize("int8")
        return model

    return Subject(make, numbers(6), labels(), cross_entropy())


def _hub(name, **arguments):
    """A backbone of keras-hub with a head."""

    def make():
        import keras_hub

        backbone = getattr(keras_hub.models, f"{name}Backbone")(vocabulary_size=WORDS, **arguments)
        outputs = backbone.output
        if isinstance(outputs, dict):
            outputs = outputs["sequence_output"]
        x = layers.GlobalAveragePooling1D()(outputs)
        return keras.Model(backbone.input, layers.Dense(CLASSES)(x))

    x = {"token_ids": words(LENGTH), "padding_mask": np.ones((EXAMPLES, LENGTH), "int32")}
    if name == "Bert":
        x["segment_ids"] = np.zeros((EXAMPLES, LENGTH), "int32")
    return Subject(make, x, labels(), cross_entropy())


_SMALL = {"num_layers": 2, "hidden_dim": 8, "intermediate_dim": 16}
_GROUPED = {**_SMALL, "num_query_heads": 2, "num_key_value_heads": 1}
SUBJECTS = {
    **{name: functools.partial(application, name) for name in _APPLICATIONS},
    "ViT": vit,
    "GPT": gpt,
    "LSTM tagger": lstm_tagger,
    "U-Net": unet,
    "siamese": siamese,
    "VAE": vae,
    "GAN": gan,
    "multi-output": multi_output,
    "LoRA": lora,
    "int8": int8,
    "hub Bert": functools.partial(_hub, "Bert", num_heads=2, dropout=0, **_SMALL),
    "hub GPT2": functools.partial(_hub, "GPT2", num_heads=2, dropout=0, **_SMALL),
    "hub Gemma": functools.partial(_hub, "Gemma", head_dim=4, **_GROUPED),
    "hub Llama": functools.partial(_hub, "Llama", **_GROUPED),
    "hub Qwen3": functools.partial(_hub, "Qwen3", head_dim=4, **_GROUPED),
}
