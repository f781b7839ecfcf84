"""The optimizer's update under TensorFlow: one reduction, then one function over all variables.

In the replica context each replica sums the gradients over all, and then updates its own copies of
the variables by one function that XLA may compile, also inside a `fit` whose whole step XLA cannot
compile (MirroredStrategy). All replicas compute the same from the same, so copies stay equal.
"""

import tensorflow as tf

from tf_bdecay.errors import require


def run(optimizer, step, variables, inputs, key):
    """Reduces the gradients, applies the step to this replica's variables, assigns the result.

    Args:
        optimizer: the optimizer; the compiled functions are kept with it.
        step: pure function (state, gradients, learning_rate) -> new state.
        variables: structure of Keras variables, the state.
        inputs: tuple of the list of local gradients and the learning rate.
        key: what the step depends on besides, hashable.
    """
    context = tf.distribute.get_replica_context()
    require(
        context is not None,
        "`apply` was called in a cross-replica context: call it inside strategy.run(...), as "
        "`fit` does.",
    )
    replicas = context.strategy.num_replicas_in_sync
    require(
        replicas == 1 or context.strategy.extended.variable_created_in_scope(_raw(optimizer)),
        f"The optimizer was built outside the scope of the strategy, so its {replicas} replicas "
        "would share one state: build it, or compile the model, inside `with strategy.scope():`.",
    )
    gradients, learning_rate = inputs
    # LAMB's norms need every row: the sparse gradient of an embedding is made dense.
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    replica = int(tf.get_static_value(context.replica_id_in_sync_group) or 0)
    functions = optimizer.__dict__.setdefault("_update_functions", {})
    if (replica, key) not in functions:
        copies = tf.nest.map_structure(lambda v: _own_copy(v, context.strategy, replica), variables)
        functions[replica, key] = _update_function(step, copies, _compiles(optimizer, context))
    functions[replica, key](gradients, tf.convert_to_tensor(learning_rate))


def _update_function(step, copies, compile_it):
    @tf.function(jit_compile=compile_it, autograph=False)
    def update(gradients, learning_rate):
        old = tf.nest.map_structure(lambda v: v.read_value(), copies)
        new = step(old, gradients, learning_rate)
        tf.nest.map_structure(lambda v, value: v.assign(value), copies, new)

    return update


def _raw(optimizer):
    """The TensorFlow variable of a piece of state that building makes."""
    return optimizer.skipped_updates.value


def _own_copy(variable, strategy, replica):
    """This replica's copy of a variable, which a nested function may read and assign."""
    if isinstance(strategy, tf.distribute.TPUStrategy):  # untried
        return variable.value
    results = strategy.experimental_local_results(variable.value)
    return results[replica % len(results)]


def _compiles(optimizer, context):
    if optimizer.compile_update != "auto":
        return bool(optimizer.compile_update)
    # A TPU's step is compiled whole.
    return not isinstance(context.strategy, tf.distribute.TPUStrategy)
