"""A model as a function of its parameters, and the means over a stream that measures take."""

import collections
import contextlib
import functools
import math
import weakref

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from tf_bdecay.errors import BadInput, check_flag, require
from tf_bdecay.frameworks import keras_private, quirks
from tf_bdecay.layers.closed_form_only import closed_form_only
from tf_bdecay.roles import Roles, roles_of
from tf_bdecay.sharpness.over_examples import inputs, objective
from tf_bdecay.sharpness.partition import Partition
from tf_bdecay.sharpness.session import SILENT

_FUNCTIONS_KEPT = 12  # traced functions per model, the last ones used

_functions = weakref.WeakKeyDictionary()


class NotFinite(BadInput):
    """The model or the data hold NaN or infinity, or the loss has become one of them.

    Attributes:
        example: index of the first example that is not finite; None if the data are not the cause.
    """

    def __init__(self, sentence, example=None):
        super().__init__(sentence)
        self.example = example

    @classmethod
    def of_example(cls, index):
        """The error for an example, counted from 0."""
        return cls(f"Example {index} of the data holds NaN or infinity.", index)


class Network:
    """A model, a loss and a mode: the subject of every measure.

    The model is called in a `StatelessScope`. It drops whatever a layer assigns (moving statistics,
    seeds) or adds as a loss, so measuring changes nothing.

    Args:
        model: a built Keras model. It is referred to weakly, because the functions traced from it
            are kept in a dictionary by model.
        loss: as `connectivity` takes it.
        training: whether the model runs in training mode.
        roles: `Roles` of its variables, and perhaps of others; None for `roles_of(model)`.
        full_precision: whether layers that compute in half precision measure in float32.

    Attributes:
        variables: list of the trainable Keras variables.
        roles: their `Roles`.
        partition: their `Partition`.

    Raises:
        BadInput: as `connectivity` does, of model, loss and roles.
    """

    def __init__(self, model, loss, training=False, roles=None, full_precision=True):
        inputs.check_model(model)
        check_flag("training", training)
        check_flag("full_precision", full_precision)
        self._model = weakref.ref(model)
        self.given_loss = objective.compiled_loss(model) if loss is None else loss
        self.loss = objective.resolve_loss(self.given_loss)
        self.training = training
        self.full_precision = full_precision
        self.variables = list(model.trainable_variables)
        require(
            roles is None or isinstance(roles, Roles),
            "`roles` must be a Roles, from roles_of(model) or optimizer.roles. "
            f"Received: {type(roles).__name__}",
        )
        self.roles = roles_of(model) if roles is None else roles.among(self.variables)
        self.partition = Partition.of(model, self.roles)
        self.strategy = getattr(model, "distribute_strategy", tf.distribute.get_strategy())

    @property
    def model(self):
        """The Keras model."""
        return self._model()

    def values(self):
        """Tensors of the trainable variables; in a replica, its own copies."""
        return [tf.convert_to_tensor(v.value) for v in self.variables]

    def outputs(self, x, values=None, independent=False):
        """Outputs of the model.

        Args:
            x: inputs.
            values: list of tensors, the parameters; None for the variables themselves.
            independent: whether to raise `BadInput` if examples share what the model writes.
        """
        mapping = [] if values is None else list(zip(self.variables, values, strict=True))
        with (
            # Forward mode, for the Fisher-Rao norm, cannot follow loops. In training mode every
            # replica computes all examples, so none may ask another.
            closed_form_only(),
            _full_precision(self.model) if self.full_precision else contextlib.nullcontext(),
            keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope,
        ):
            outputs = self.model(x, training=self.training)
        if independent and self.training:
            inputs.refuse_updates(self.model, scope)
        return outputs

    def losses(self, x, y, examples, values=None, independent=False):
        """The loss of each example: [examples]. Arguments as in `outputs`."""
        outputs = self.outputs(x, values, independent)
        return objective.example_losses(self.loss, y, outputs, examples)

    def weighted_loss(self, x, y, weights, values=None):
        """Sum of the examples' losses times their weights: a scalar tensor."""
        losses = self.losses(x, y, weights.shape[0], values)
        return tf.reduce_sum(losses * tf.cast(weights, losses.dtype))

    def mean(self, kernel, stream, size, arguments=(), session=SILENT, key=None):
        """The mean over all examples of a kernel's sums over chunks.

        The replicas of the model's strategy split the examples, except in training mode, where
        examples depend on each other and every replica computes all of them.

        Args:
            kernel: function (network, x, y, weights, *arguments) that returns a scalar, the
                weighted sum of the losses, and a structure of tensors, weighted sums too.
            stream: the `Stream`.
            size: examples per chunk.
            arguments: tuple of tensors for the kernel, or a function of a `Chunk` that returns it.
            session: a `Session`.
            key: a word under which to keep the partial sums; None to keep none.

        Returns:
            The mean loss, a float, and the structure of means, as tensors.

        Raises:
            NotFinite: the loss or a result of the kernel is NaN or infinite; it names the variable
                or the example, if one is the cause.
            BadInput: the data set gave another number of examples than before.
        """
        model = self.model  # kept alive
        size = self.divisible_by_replicas(size)
        function = self._function(kernel)
        total, start, structure = None, 0, None
        state = session.restore(key) if key else None
        # A state is of no use if the present number of replicas does not divide its chunks.
        kept = 0 if state is None else int(state["size"])
        if kept and kept == self.divisible_by_replicas(kept):
            size, start = kept, int(state["start"])
            total = [tf.constant(state[f"{i:05d}"]) for i in range(len(state) - 2)]

        def of_chunk(chunk):
            weights = np.where(np.arange(size) < chunk.kept, 1 / size, 0.0)
            more = arguments(chunk) if callable(arguments) else arguments
            with quirks.silent_tracing(), inputs.naming_shapes(chunk.x, chunk.y):
                return function(chunk.x, chunk.y, tf.constant(weights), *more)

        for chunk in stream.chunks(size, start):
            structure = of_chunk(chunk)
            part = tf.nest.flatten(structure)
            total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
            done = chunk.start + size
            if key and done < (stream.examples or math.inf):  # nothing resumes after the last chunk
                session.keep(key, functools.partial(_state, total, done, size))
            session.progress(done // size, stream.examples and -(-stream.examples // size))
        if structure is None:  # the state covered all, as it may if the length was unknown
            require(
                start - size < stream.examples,
                f"The partial result is of {start - size} examples or more, and the data set gave "
                f"{stream.examples}: measure a data set that repeats itself exactly.",
            )
            structure = of_chunk(next(iter(stream.chunks(size))))
        scale = size / stream.examples
        means = [t * tf.constant(scale, t.dtype) for t in total]
        mean_loss, result = tf.nest.pack_sequence_as(structure, means)
        mean_loss = float(mean_loss)
        finite = [tf.reduce_all(tf.math.is_finite(t)) for t in tf.nest.flatten(result)]
        if not (math.isfinite(mean_loss) and all(map(bool, finite))):
            raise self._not_finite(stream, size)
        del model
        return mean_loss, result

    def divisible_by_replicas(self, size):
        """`size` rounded up to a multiple of the replicas that split a chunk."""
        replicas = self.strategy.num_replicas_in_sync if not self.training else 1
        return -(-size // replicas) * replicas

    def _function(self, kernel):
        """The traced function of a kernel, kept for the next call.

        It holds no reference to the model, which otherwise could never be freed.
        """
        layers = keras_private.layers_of(self.model)
        key = (
            objective.loss_key(self.given_loss),
            kernel,
            self.training,
            self.full_precision,
            self.partition,
            tuple(id(v) for v in self.variables),
            tuple(layer.trainable for layer in layers),  # decides how normalization layers run
        )
        kept = _functions.setdefault(self.model, collections.OrderedDict())
        if key not in kept:
            # Keep network, losses and variables alive with the function, so that no id in the key
            # is reused.
            kept[key] = self.traced(kernel), self
            while len(kept) > _FUNCTIONS_KEPT:
                kept.popitem(last=False)
        kept.move_to_end(key)
        return kept[key][0]

    def traced(self, kernel):
        """A `tf.function` (x, y, weights, *arguments) of the kernel, on all replicas.

        It sums over replicas that split the examples; in training mode all have the same result.
        """
        strategy, split = self.strategy, not self.training

        def of_replica(x, y, weights, *arguments):
            if split and strategy.num_replicas_in_sync > 1:
                x, y, weights = _own_share((x, y, weights), strategy.num_replicas_in_sync)
            return kernel(self, x, y, weights, *arguments)

        @tf.function(autograph=False)
        def function(x, y, weights, *arguments):
            results = strategy.run(of_replica, args=(x, y, weights, *arguments))
            if split:
                return tf.nest.map_structure(
                    lambda t: strategy.reduce("SUM", t, axis=None), results
                )
            return tf.nest.map_structure(
                lambda t: strategy.experimental_local_results(t)[0], results
            )

        return function

    def _not_finite(self, stream, size):
        """The error that names the variable or the example that is not finite, if it finds one."""
        for variable, role in zip(self.variables, self.roles.variables, strict=True):
            if not np.isfinite(np.asarray(variable.numpy(), "float64")).all():
                return NotFinite(f"The variable {role.label!r} holds NaN or infinity.")
        for chunk in stream.chunks(size):
            arrays = [a for a in tree.flatten((chunk.x, chunk.y)) if a.dtype.kind in "fV"]
            for array in arrays:
                bad = ~np.isfinite(array.astype("float64").reshape(size, -1)).all(1)
                if bad.any():
                    return NotFinite.of_example(chunk.start + int(bad.argmax()))
        return NotFinite(
            "The loss is NaN or infinite on these examples, or a derivative of it is, although "
            "weights and data are finite: look at the loss (labels within the classes, "
            "from_logits) and at the precision."
        )


def _own_share(structure, replicas):
    """A replica's part of a chunk, whose size the replicas divide."""
    index = tf.distribute.get_replica_context().replica_id_in_sync_group

    def share(tensor):
        tensor = tf.convert_to_tensor(tensor)
        own = tensor.shape[0] // replicas
        begin = tf.cast(index, "int32") * own
        rest = tensor.shape.rank - 1
        return tf.slice(tensor, [begin] + [0] * rest, [own] + tensor.shape[1:].as_list())

    return tf.nest.map_structure(share, structure)


def _state(total, start, size):
    arrays = {f"{i:05d}": t.numpy() for i, t in enumerate(total)}
    return {"size": np.array(size), "start": np.array(start), **arrays}


@contextlib.contextmanager
def _full_precision(model):
    """Makes mixed-precision layers compute in their variables' dtype, while the model is traced."""
    changed = []
    for layer in keras_private.layers_of(model):
        if layer.compute_dtype in ("float16", "bfloat16") and layer.variable_dtype == "float32":
            changed.append((layer, layer.dtype_policy))
    try:
        for layer, _ in changed:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in changed:
            layer.dtype_policy = policy
