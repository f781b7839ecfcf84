"""A program that measures the memory of train steps of ResNet18.

    python measured_step.py WIDTH BATCH STEPS

Prints, as JSON, the process's peak resident memory in bytes before and after STEPS updates.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

import tf_bdecay
from tf_bdecay import models
from tf_bdecay.training.building.losses import SmoothedCrossentropy
from tf_bdecay.training.step.trainer import Trainer


def peak():
    """Bytes of the largest resident memory so far. (getrusage's may be the parent's.)"""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main(width, batch, steps):
    """Trains on random images, and prints."""
    keras.utils.set_random_seed(0)
    model = models.resnet18(width=width)
    trainer = Trainer(model.input, model.output)
    trainer.compile(optimizer=tf_bdecay.Lamb(0.001), loss=SmoothedCrossentropy(), jit_compile=False)
    trainer.optimizer.build(trainer)
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(batch, 32, 32, 3)).astype("float32"))
    y = tf.constant(random.integers(0, 10, batch))
    step = tf.function(lambda: trainer.train_step((x, y))["loss"])
    before = peak()
    for _ in range(steps):
        step().numpy()
    print(json.dumps({"before": before, "after": peak()}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
