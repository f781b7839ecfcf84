"""Where a run computes: the distribution strategies that this machine can run."""

import contextlib
import os

import keras
import numpy as np
import tensorflow as tf

from tf_bdecay.distribution.cluster import STRATEGIES
from tf_bdecay.errors import BadInput, first_line, require, unknown


def choose(tpu=""):
    """The strategy that "auto" stands for on this machine.

    Args:
        tpu: as for `make`.

    Returns:
        Its name, and the reason in words.
    """
    if os.environ.get("TF_CONFIG"):
        return "multi_worker", "TF_CONFIG is set"
    if tpu or _has_tpu():
        return "tpu", "there is a TPU"
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus > 1:
        return "mirrored", f"there are {gpus} GPUs"
    return ("one_device", "there is one GPU") if gpus else ("none", "there is no GPU or TPU")


def make(name="none", devices="", logical_devices=0, tpu=""):
    """Makes a distribution strategy.

    Args:
        name: "none", "one_device", "mirrored", "multi_worker", "tpu" (untried) or "auto". Many
            workers must have met in `workers.rendezvous`: TensorFlow would wait for them forever.
        devices: comma-separated device names, such as "GPU:0,GPU:1"; "" for all GPUs, or for the
            CPU's devices if there are none.
        logical_devices: how many devices to cut the CPU into, to try several; 0 leaves it whole.
        tpu: name or address of a TPU; "" for the environment's TPU_NAME, or a local one.

    Returns:
        A `tf.distribute.Strategy`, or None for "none".

    Raises:
        BadInput: the name is unknown, a device is not there, or this machine cannot run the
            strategy.
    """
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    if name == "auto":
        name, _ = choose(tpu)
    if logical_devices:
        _cut_cpu(logical_devices)
    if name == "none":
        require(not devices, f"--devices={devices} needs --strategy=one_device or mirrored.")
        tf.config.list_logical_devices()  # starts the devices, as every strategy does
        return None
    if name == "tpu":
        return _tpu(tpu)
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    chosen = _devices(devices)
    if name == "one_device":
        require(
            len(chosen) == 1 or not devices,
            f"--strategy=one_device takes one device. Received: --devices={devices}",
        )
        return tf.distribute.OneDeviceStrategy(chosen[0])
    require(
        len(chosen) > 1,
        f"--strategy=mirrored needs two devices or more and this machine has one, {chosen[0]}: use "
        "--strategy=none, or add --logical_devices=2 to try it on one CPU.",
    )
    return tf.distribute.MirroredStrategy(chosen)


def replicas(strategy):
    """The number of replicas that share a global batch."""
    return strategy.num_replicas_in_sync if strategy else 1


def scope(strategy):
    """The context in which model and optimizer must be made."""
    return strategy.scope() if strategy else contextlib.nullcontext()


def name(strategy):
    """The name of a strategy in a run's record."""
    return type(strategy).__name__ if strategy else "none"


def is_multi_worker(strategy):
    """Whether a strategy is for many workers."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def this_replica():
    """The index of this replica among all of its strategy, an int; in a replica context."""
    context = tf.distribute.get_replica_context()
    return int(tf.get_static_value(context.replica_id_in_sync_group) or 0)


def copies(strategy, variable):
    """The copies of a Keras variable on this process's replicas, a list."""
    return list(strategy.experimental_local_results(variable.value))


def shared_out(values, replicas):
    """Shares out the sums that replicas kept, also if there is another number of replicas now.

    Args:
        values: array [replicas then, ...].
        replicas: how many there are now.

    Returns:
        The values, if the number is the same; otherwise their sum for the first replica, and zeros.
    """
    if len(values) == replicas:
        return list(values)
    total = values.sum(axis=0)
    return [total, *(np.zeros_like(total) for _ in range(replicas - 1))]


def own_copy(variable):
    """This replica's copy of a variable, which a nested function may read and assign.

    Args:
        variable: a Keras variable, or TensorFlow's, made under the strategy in whose replica
            context this is called.

    Returns:
        A `tf.Variable`.
    """
    strategy = tf.distribute.get_replica_context().strategy
    variable = variable.value if isinstance(variable, keras.Variable) else variable
    if isinstance(strategy, tf.distribute.TPUStrategy):  # untried
        return variable
    results = strategy.experimental_local_results(variable)
    return results[this_replica() % len(results)]


def _cut_cpu(count):
    require(count > 0, f"--logical_devices must be a whole number > 0. Received: {count}")
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # a user's own program has started TensorFlow
        found = len(tf.config.list_logical_devices("CPU"))
        require(
            found == count,
            f"The CPU is in use as {found} devices and cannot be cut into {count} any more: set "
            "the number before TensorFlow's first operation.",
        )


def _devices(devices):
    found = [d.name for d in tf.config.list_logical_devices("GPU")]
    cpus = [d.name for d in tf.config.list_logical_devices("CPU")]
    if not devices:
        return found or cpus
    known = {name.removeprefix("/device:").upper(): name for name in found + cpus}
    chosen = []
    for name in devices.split(","):
        short = name.strip().removeprefix("/device:").removeprefix("/").upper()
        if short not in known:
            raise unknown("device", name.strip(), known)
        chosen.append(known[short])
    require(len(set(chosen)) == len(chosen), f"--devices names a device twice. Received: {devices}")
    return chosen


def _has_tpu():
    return bool(os.environ.get("TPU_NAME") or tf.config.list_physical_devices("TPU"))


def _tpu(address):
    if not (address or _has_tpu()):
        raise BadInput(
            "--strategy=tpu needs a TPU, and this machine has none (no TPU device, and TPU_NAME is "
            "not set): use --strategy=none or mirrored."
        )
    address = address or os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(address)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError, OSError) as error:
        raise BadInput(
            f"The TPU {address!r} cannot be used ({first_line(error)}): give --tpu=NAME "
            "of one that is there, or another --strategy."
        ) from error
    return tf.distribute.TPUStrategy(resolver)
