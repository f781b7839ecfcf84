"""One update from many micro-batches: the global batch's update in a fraction of its memory."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import tree

from tf_bdecay.batch_checks import first_tensor, in_micro_batches
from tf_bdecay.batches import check_divides
from tf_bdecay.errors import check_count, require
from tf_bdecay.frameworks import keras_private
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.sharpness.over_examples.tape import dense_gradients
from tf_bdecay.training.step import noise_meter
from tf_bdecay.training.step.assignments import Assignments
from tf_bdecay.training.step.loss_shares import loss_shares


class Pass(NamedTuple):
    """The results of one pass over a replica's batch, before anything is assigned.

    Attributes:
        loss: scalar.
        outputs: structure of tensors, with their masks.
        gradients: list by trainable variable; None for a variable without one.
        state: pairs of a Keras variable and the value that layers and losses would assign to it.
        square: mean over micro-batches of the squared norms of their gradients, which are scaled
            like `gradients`; None if not requested.
    """

    loss: Any
    outputs: Any
    gradients: list
    state: list
    square: Any = None


class _Carried(NamedTuple):
    """What the loop of `accumulated` passes from one micro-batch to the next.

    Attributes:
        loss, gradients, square: sums so far; the square is 0 if not requested.
        averaged: list of the sums so far of state that is averaged.
        kept, chained: lists of the last micro-batch's values of other state.
        outputs: structure of `tf.TensorArray`s.
    """

    loss: Any
    gradients: list
    square: Any
    averaged: list
    kept: list
    chained: list
    outputs: Any


def check(model, micro_batch_size):
    """Raises `BadInput` if micro-batches of this size are known to change a model's update.

    A frozen normalization layer runs in inference mode, in which it needs no batch.
    """
    if micro_batch_size is None:
        return
    check_count("micro_batch_size", micro_batch_size)
    for variable in model.trainable_variables:
        require(
            not getattr(variable, "overwrite_with_gradient", False),
            f"{variable.path!r} is a float8 scale, found from a whole batch, which micro-batches "
            "do not have: use bfloat16, or no micro_batch_size.",
        )
    for layer in keras_private.layers_of(model, include_self=False):
        require(
            not getattr(layer, "stateful", False),
            f"The layer {layer.name!r} is stateful, its state that of a whole batch, which "
            "micro-batches do not have: use stateful=False, or no micro_batch_size.",
        )
        if not isinstance(layer, keras.layers.BatchNormalization) or not layer.trainable:
            continue
        require(
            isinstance(layer, GhostBatchNormalization),
            f"The layer {layer.name!r} normalizes by the statistics of its whole batch, which "
            "micro-batches do not have: use tf_bdecay.layers.GhostBatchNormalization, or no "
            "micro_batch_size.",
        )
        ghost = {f"{layer.name}.ghost_batch_size": layer.ghost_batch_size}
        check_divides(ghost, "micro_batch_size", micro_batch_size)


def one_pass(trainer, data, steps=None):
    """The `Pass` over a replica's batch as the trainer was compiled; arguments as in `accumulated`.

    It assigns nothing.
    """
    if trainer.micro_batch_size is None:
        return at_once(trainer, data, steps)
    squares = trainer.noise_meter is not None
    return accumulated(trainer, data, trainer.micro_batch_size, steps, squares)


def at_once(trainer, data, steps=None):
    """The `Pass` over a whole batch; arguments as in `accumulated`."""
    keras_private.build_loss(trainer, *data[1:])
    state = [*model_state(trainer), *trainer.metrics_variables]
    with Assignments(trainer.trainable_variables, state, ()) as scope:
        found = trainer.forward_backward(*data, moved=scope.moved(steps))
    return Pass(*found, [(v, scope.value_of(v)) for v in state if id(v) in scope.assigned])


def accumulated(trainer, data, size, steps=None, squares=False):
    """The `Pass` over a replica's batch, computed one micro-batch at a time.

        L = 1/K sum_k L_k,   dL/dtheta = 1/K sum_k dL_k/dtheta      (K micro-batches of equal size)

    A loss that does not divide by the number of its values, such as a sum or a mean over what a
    mask keeps, enters L_k multiplied by its share (see `loss_shares`).

    The loop holds the activations of one micro-batch. Gradients are summed in float32 (float64 for
    float64 variables). Examples keep the order of the batch, so ghost batches are the same, too.

    State that layers assign in a forward pass begins every micro-batch with its old value, and its
    new value is the mean over micro-batches. For a momentum step, with b_k the statistics of
    micro-batch k, that is one step with the mean over the batch:

        1/K sum_k (m old + (1 - m) b_k) = m old + (1 - m) 1/K sum_k b_k

    A counter counts one call. Integers are those of the last micro-batch. The seeds of random
    numbers, and metrics, pass from one micro-batch to the next.

    Args:
        trainer: the compiled `Trainer`.
        data: (x, y, sample_weight), structures of tensors of one length, or None.
        size: int, examples per micro-batch, which divides that length.
        steps: list of tensors by trainable variable, None for a variable without one: loss and
            gradients are taken at theta plus these steps. None to take them at theta.
        squares: whether to compute the squared norms of the micro-batches' gradients, too.

    Raises:
        BadInput: the size does not divide the batch; a forward pass assigns a variable that is not
            state of the model; or `squares` is set and micro-batches do not count alike. If only
            the running graph knows the batch, `tf.errors.InvalidArgumentError` at run time.
    """
    keras_private.build_loss(trainer, *data[1:])  # no variable can be created in the loop
    variables = trainer.trainable_variables
    averaged, kept, chained = _kinds_of_state(trainer)
    whole, data = data, in_micro_batches(data, size)
    first = first_tensor(data)
    count = first.shape[0] or tf.shape(first)[0]
    shares, masks = loss_shares(trainer, whole, size, count)
    if squares:
        noise_meter.check_shares(shares)
    assigned, absent = set(), set()  # known once the body has been traced
    start = _Carried(
        loss=tf.constant(0.0, _wide(keras.config.floatx())),
        gradients=[tf.zeros(v.shape, _wide(v.dtype)) for v in variables],
        square=tf.zeros([], "float32"),
        averaged=[tf.zeros(v.shape, _wide(v.dtype)) for v in averaged],
        kept=[tf.convert_to_tensor(v.value) for v in kept],
        chained=[tf.convert_to_tensor(v.value) for v in chained],
        outputs=tree.map_structure(
            lambda t: tf.TensorArray(t.dtype, count, element_shape=(size, *t.shape[1:])),
            trainer.output,
        ),
    )

    def body(k, before):
        part = tree.map_structure(lambda t: None if t is None else t[k], data)
        handed_on = zip(chained, before.chained, strict=True)
        scope = Assignments(variables, [*averaged, *kept], handed_on)
        with scope, keras_private.losses_replaced(trainer, lambda i, one: shares[i].of(one, k)):
            moved = scope.moved(steps)
            value, y_pred, gradients = trainer.forward_backward(*part, moved=moved)
        assigned.update(scope.assigned)
        absent.update(i for i, g in enumerate(gradients) if g is None)
        square = noise_meter.squared_norm(gradients, variables) if squares else 0.0
        return k + 1, _Carried(
            loss=_plus(before.loss, value),
            gradients=[
                _plus(s, g)
                for s, g in zip(
                    before.gradients, dense_gradients(gradients, variables), strict=True
                )
            ],
            square=_plus(before.square, square),
            averaged=[
                _plus(s, scope.value_of(v)) for s, v in zip(before.averaged, averaged, strict=True)
            ],
            kept=[scope.value_of(v) for v in kept],
            chained=[scope.value_of(v) for v in chained],
            outputs=tree.map_structure(lambda array, t: array.write(k, t), before.outputs, y_pred),
        )

    _, found = tf.while_loop(
        lambda k, _: k < count, body, (tf.constant(0), start), parallel_iterations=1
    )

    def mean(total):
        return total / tf.cast(count, total.dtype)

    outputs = tree.map_structure(_in_one, found.outputs)
    for output, mask in zip(tree.flatten(outputs), masks, strict=True):
        keras_private.set_mask(output, mask)
    state = [
        *zip(averaged, map(mean, found.averaged), strict=True),
        *zip(kept, found.kept, strict=True),
        *zip(chained, found.chained, strict=True),
    ]
    return Pass(
        loss=mean(found.loss),
        outputs=outputs,
        gradients=[None if i in absent else mean(s) for i, s in enumerate(found.gradients)],
        state=[(v, tf.cast(value, v.dtype)) for v, value in state if id(v) in assigned],
        square=mean(found.square) if squares else None,
    )


def model_state(model):
    """The variables that a model's layers may assign in a forward pass, without frozen weights."""
    layers = keras_private.layers_of(model)
    weights = {id(v) for layer in layers for v in keras_private.own_trainable_variables(layer)}
    return [v for v in model.non_trainable_variables if id(v) not in weights]


def _kinds_of_state(trainer):
    """The state to average over micro-batches, to take from the last one, and to pass on."""
    state = model_state(trainer)
    seeds = [v for v in state if keras_private.is_seed(v)]
    rest = [v for v in state if not keras_private.is_seed(v)]
    floats = [v for v in rest if keras.backend.is_float_dtype(v.dtype)]
    others = [v for v in rest if not keras.backend.is_float_dtype(v.dtype)]
    return floats, others, [*seeds, *trainer.metrics_variables]


def _plus(total, value):
    return total + tf.cast(value, total.dtype)


def _in_one(array):
    """The outputs of all micro-batches, joined; `concat` of an array would lose a known length."""
    parts = array.stack()
    count, size, *rest = parts.shape
    length = -1 if count is None else count * size
    return tf.reshape(
        parts, tf.concat([[length], tf.shape(parts)[2:]], 0) if None in rest else [length, *rest]
    )


def _wide(dtype):
    return "float64" if dtype == "float64" else "float32"
