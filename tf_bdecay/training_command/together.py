"""How many workers begin one run: when all are there, with the same settings and images."""

import json

from tf_bdecay.distribution import workers
from tf_bdecay.errors import BadInput
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.run_folder import pictures_record


def wait(options, cluster, listener, source, program):
    """Waits until all workers are there, and refuses workers that would train something else.

    Args:
        options: `command_line.Options` of this worker.
        cluster: the `Cluster`.
        listener: from `cluster.bind()`; closed when this returns.
        source: the `weights.Source` that the run starts from, or None.
        program: the command's name, for the message of the time limit.

    Returns:
        A context manager to make the strategy in; it ends the process if that takes too long.

    Raises:
        BadInput: the settings of the workers differ.
        WorkerLost: not all came in time.
    """
    from tf_bdecay.training.building import datasets

    flat, timeout = flatten(options.config), options.start_timeout
    digest = source.digest if source else None
    more = {"deterministic": options.deterministic, "hash of the weights to start": digest}
    of_batches = datasets.strong_augmentation(options.config).versions()
    more |= {f"version of {name}": version for name, version in of_batches.items()}
    workers.rendezvous(cluster, listener, workers.facts(flat, **more), timeout)
    sentence = f"TensorFlow did not connect the workers in {timeout:g} s."
    return workers.time_limit(timeout, f"{program}: {sentence}")


def same_images(options, cluster, strategy):
    """Loads the images of a run, which must be the same on all its workers.

    They are loaded after the strategy is made, because TensorFlow reads them, and a strategy of
    many workers must be made before TensorFlow does anything.

    Args:
        options: `command_line.Options` of this worker.
        cluster: the `Cluster`.
        strategy: its strategy.

    Returns:
        An `ImageSet` or a `PictureSet`.

    Raises:
        BadInput: a worker has no images, or different ones.
    """
    from tf_bdecay.distribution import sharding, strategies
    from tf_bdecay.training.building import datasets

    images, failed = None, None
    try:
        images = datasets.load(flatten(options.config), options.data_dir, options.download)
        mine = pictures_record.lasting(images.record())
    except BadInput as error:  # the others must hear of it
        failed, mine = error, {"data": str(error)}
    if strategies.is_multi_worker(strategy):
        with workers.peer_errors(cluster):
            content = json.dumps(mine).encode()
            everyone = range(len(cluster.addresses))
            theirs = {i: sharding.from_worker(strategy, content, i) for i in everyone}
        said = {i: json.loads(found) for i, found in theirs.items()}
        sentence = workers.difference(cluster, said)
        if sentence:
            raise failed or BadInput(sentence)
    if failed:
        raise failed
    return images
