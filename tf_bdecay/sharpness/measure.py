"""Measuring connectivity sharpness: eq. 4 and C_m of any Keras model, without changing it."""

import collections
import math
import numbers
import weakref

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from tf_bdecay.errors import require
from tf_bdecay.roles import Roles, roles_of
from tf_bdecay.sharpness import inputs, objective
from tf_bdecay.sharpness.kinds import kinds_of
from tf_bdecay.sharpness.per_example import map_over_examples
from tf_bdecay.sharpness.result import ConnectivityResult, Share
from tf_bdecay.sharpness.sensitivity import bias_ratio, connection_sensitivity, l1_norms
from tf_bdecay.sharpness.tape import dense_gradients, loss_gradients_and_sensitivity

GRADIENT_MEMORY = 2**30  # bytes that the gradients of the examples at once may take
MOST_AT_ONCE = 256  # examples: a small network's activations outweigh its gradients
_FUNCTIONS_KEPT = 8  # traced functions a model, the last ones used

_functions = weakref.WeakKeyDictionary()


def connectivity(
    model, loss, data, per_example=True, training=False, examples_at_once=None, roles=None
):
    """Connectivity sharpness of a model on a set of examples, and the gradient of its mean loss.

        C(theta)   = E_D || dl/dtheta * theta ||_1    (eq. 4; per_example=True)
        C_m(theta) = || dL/dtheta * theta ||_1        L the mean loss of these m examples

    Both are sums over parameters, so they split exactly over variables, layers and kinds (eq. 11).
    Regularisation losses are left out; weights, moving statistics and seeds stay as they were. The
    model computes in its own precision. Dropout in training mode draws one mask from the seeds as
    they are: with `per_example` the same for every example.

    Args:
        model: a built Keras model.
        loss: callable (y, outputs) that gives a value for each example, a Keras loss (its reduction
            over examples is undone) or the name of one, which means what it means in `compile`;
            None for the loss that the model was compiled with.
        data: pair (x, y) of arrays, or of structures of arrays, with one entry an example.
        per_example: whether to measure C or C_m.
        training: whether the model runs in training mode. Reports use inference mode, where
            accumulated statistics leave examples independent of each other (METHOD, section 1).
        examples_at_once: how many examples to hold at a time. By default what keeps their gradients
            within 1 GiB for C, and all of them for C_m.
        roles: `Roles` of the model's variables, as `optimizer.roles`; by default `roles_of(model)`.

    Returns:
        A `ConnectivityResult`. NaN in the model or in the data gives NaN.

    Raises:
        BadInput: a model that is not built or has nothing to train; data that are no tensors, no
            examples, or unequal numbers of x and y; a loss without a value for each example; C in
            training mode of a model that uses batch statistics; an argument of another type.

    Example:

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        result = tf_bdecay.sharpness.connectivity(model, loss, (x, y))
        print(result)                                   # by kind and by layer
        result.total, result.by_kind["beta"], result.bias_ratio
    """
    inputs.check_model(model)
    for name, value in (("per_example", per_example), ("training", training)):
        require(
            isinstance(value, bool), f"`{name}` must be True or False. Received: {name}={value!r}"
        )
    x, y, examples = inputs.examples_of(data)
    if per_example and training:
        inputs.refuse_batch_statistics(model)
    roles = roles_of(model) if roles is None else roles
    require(
        isinstance(roles, Roles),
        "`roles` must be a Roles, from roles_of(model) or optimizer.roles. "
        f"Received: {type(roles).__name__}",
    )
    require(
        len(roles) == len(model.trainable_variables),
        f"`roles` must be of this model's {len(model.trainable_variables)} trainable variables. "
        f"Received: roles of {len(roles)}",
    )
    at_once = _examples_at_once(model, examples, per_example, training, examples_at_once)
    loss = objective.compiled_loss(model) if loss is None else loss
    function = _function(model, loss, per_example, training)
    mean_loss, gradients, c = _sum_over_chunks(function, x, y, examples, at_once)
    if not per_example:
        values = [v.value for v in model.trainable_variables]
        c = [float(norm) for norm in l1_norms(connection_sensitivity(gradients, values))]
    return ConnectivityResult(
        loss=mean_loss,
        gradients=gradients,
        shares=tuple(
            Share(variable.label, variable.layer, kind, float(value))
            for variable, kind, value in zip(
                roles.variables, kinds_of(model, roles), c, strict=True
            )
        ),
        bias_ratio=_bias_ratios(roles, np.asarray(c)),
        examples=examples,
        per_example=per_example,
        training=training,
    )


def _examples_at_once(model, examples, per_example, training, given):
    if given is None:
        if not per_example:
            return examples
        size = sum(
            math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in model.trainable_variables
        )
        return min(examples, MOST_AT_ONCE, max(1, GRADIENT_MEMORY // max(size, 1)))
    require(
        isinstance(given, numbers.Integral) and not isinstance(given, bool) and given >= 1,
        f"`examples_at_once` must be a whole number >= 1. Received: {given!r}",
    )
    require(
        per_example or not training or given >= examples,
        f"C_m in training mode needs its batch of {examples} whole, for batch statistics depend on "
        f"all of it: leave `examples_at_once` out. Received: {given}",
    )
    return min(int(given), examples)


def _bias_ratios(roles, c):
    """r of every normalization layer, in float32 as in the optimizer: both decide alike."""
    betas = c[[pair.beta for pair in roles.pairs]].astype("float32")
    gammas = c[[pair.gamma for pair in roles.pairs]].astype("float32")
    ratios = np.asarray(bias_ratio(betas, gammas))
    return {pair.layer: float(r) for pair, r in zip(roles.pairs, ratios, strict=True)}


def _sum_over_chunks(function, x, y, examples, at_once):
    """Mean loss, mean gradients and mean C by variable (None for C_m) over all chunks.

    Every chunk has the same shape, so that one trace serves all: the last is filled up with its
    last example at weight 0.
    """
    loss, gradients, rows = 0.0, None, []
    for start in range(0, examples, at_once):
        kept = min(at_once, examples - start)
        index = np.minimum(np.arange(start, start + at_once), examples - 1)
        weights = np.where(np.arange(at_once) < kept, 1 / examples, 0.0)
        whole = at_once == examples
        chunk = (x, y) if whole else tree.map_structure(lambda t, i=index: tf.gather(t, i), (x, y))
        part, part_gradients, c = function(*chunk, tf.constant(weights))
        loss += float(part)
        if gradients is None:
            gradients = part_gradients
        else:
            gradients = [a + b for a, b in zip(gradients, part_gradients, strict=True)]
        if c is not None:
            rows.append(c.numpy()[:kept].astype("float64"))
    return loss, gradients, np.concatenate(rows).mean(0) if rows else None


def _function(model, loss, per_example, training):
    """The `tf.function` of a model, a loss and a mode, kept for the next call.

    It holds no reference to the model, which could then never be freed from the weak dictionary.
    """
    variables = list(model.trainable_variables)
    layers = model._flatten_layers(include_self=True, recursive=True)
    key = (
        objective.loss_key(loss),
        per_example,
        training,
        tuple(id(v) for v in variables),
        tuple(layer.trainable for layer in layers),  # decides how normalization layers run
    )
    kept = _functions.setdefault(model, collections.OrderedDict())
    if key not in kept:
        # The losses and variables stay with the function: an id in the key is of a living object.
        kept[key] = _make_function(weakref.ref(model), loss, variables, per_example, training), loss
        while len(kept) > _FUNCTIONS_KEPT:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key][0]


def _make_function(model_reference, loss, variables, per_example, training):
    loss = objective.resolve_loss(loss)
    strategy = getattr(model_reference(), "distribute_strategy", tf.distribute.get_strategy())

    def losses(x, y, examples):
        model = model_reference()
        # Whatever a layer assigns (moving statistics, seeds) or adds as a loss stays in the scope.
        with keras.StatelessScope(collect_losses=True) as scope:
            outputs = model(x, training=training)
        if per_example and training:
            inputs.refuse_updates(model, scope)
        return objective.example_losses(loss, y, outputs, examples)

    def of_batch(x, y, weights):
        def mean_loss():
            values = losses(x, y, weights.shape[0])
            return tf.reduce_sum(values * tf.cast(weights, values.dtype)), None

        mean, _, gradients, _ = loss_gradients_and_sensitivity(
            mean_loss, variables, sensitivities=False
        )
        return mean, dense_gradients(gradients, variables), None

    def of_examples(x, y, weights):
        def one(example):
            x, y = tree.map_structure(lambda t: t[tf.newaxis], example)
            value, _, gradients, c = loss_gradients_and_sensitivity(
                lambda: (losses(x, y, 1)[0], None), variables
            )
            c = [tf.cast(norm, value.dtype) for norm in c]
            return value, dense_gradients(gradients, variables), tf.stack(c)

        values, gradients, c = map_over_examples(one, (x, y))
        mean = tf.reduce_sum(values * tf.cast(weights, values.dtype))
        return mean, [tf.tensordot(tf.cast(weights, g.dtype), g, 1) for g in gradients], c

    @tf.function(autograph=False)
    def function(x, y, weights):
        # Each replica measures the same examples, in the replica context that layers may ask for.
        results = strategy.run(of_examples if per_example else of_batch, args=(x, y, weights))
        return tf.nest.map_structure(lambda t: strategy.experimental_local_results(t)[0], results)

    return function
