"""ResNet18 on scikit-learn's digits as a plain Keras user writes it, without tf_bdecay.

    python tools/benchmarks/plain_keras.py --width=16 --batch_size=448

Trains until the first update ends, and prints the time of that end in seconds since 1970.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class PrintTime(keras.callbacks.Callback):
    """Prints the time at which the first update ends, and ends the process."""

    def on_train_batch_end(self, batch, logs=None):
        print(time.time(), flush=True)
        os._exit(0)


def main():
    """Builds, compiles and fits the model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=448)
    arguments = parser.parse_args()

    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images[..., None].astype("float32") / 16,
        digits.target,
        test_size=0.2,
        random_state=0,
        stratify=digits.target,
    )
    model = resnet18(x_train.shape[1:], 10, arguments.width)
    model.compile(
        optimizer=keras.optimizers.Lamb(0.01, weight_decay=0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # as in main.py
    )
    model.fit(
        x_train,
        y_train,
        batch_size=arguments.batch_size,
        epochs=1,
        validation_data=(x_test, y_test),
        callbacks=[PrintTime()],
        verbose=0,
    )


def resnet18(shape, classes, width):
    """ResNet18 with the CIFAR stem, like `tf_bdecay.models.resnet18(normalization="batch")`."""
    inputs = keras.Input(shape)
    x = layers.ReLU()(convolve(inputs, width))
    for stage in range(4):
        for block in range(2):
            strides = 2 if stage and not block else 1
            channels = width * 2**stage
            shortcut = convolve(x, channels, 1, strides) if strides == 2 else x
            x = layers.ReLU()(convolve(x, channels, 3, strides))
            x = layers.ReLU()(layers.Add()([convolve(x, channels), shortcut]))
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def convolve(x, channels, size=3, strides=1):
    """A convolution without bias, followed by batch normalization."""
    x = layers.Conv2D(channels, size, strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


if __name__ == "__main__":
    main()
