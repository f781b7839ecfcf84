"""The optimizer's update under TensorFlow: one reduction, then a few compiled functions a block.

In the replica context each replica sums the gradients over all, and then updates its own copies of
the variables. All replicas compute the same from the same, so copies stay equal. What touches every
parameter is compiled by XLA block by block and in place, also inside a `fit` whose whole step XLA
cannot compile (MirroredStrategy). Blocks alike share one compiled function: the time to compile
grows with the number of different shapes, not with the depth.
"""

import functools

import tensorflow as tf

from tf_bdecay.errors import require
from tf_bdecay.optim import blocks
from tf_bdecay.optim import step as pure


def run(optimizer, variables, gradients, learning_rate, present):
    """Reduces the gradients and updates this replica's variables.

    Args:
        optimizer: the optimizer; the compiled functions are kept with it.
        variables: structure of Keras variables, the state.
        gradients: list of local gradients.
        learning_rate: scalar eta.
        present: tuple of the indices of the variables that have a gradient, ascending.
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
    # LAMB's norms need every row: the sparse gradient of an embedding is made dense.
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    replica = int(tf.get_static_value(context.replica_id_in_sync_group) or 0)
    updates = optimizer.__dict__.setdefault("_updates", {})
    if (replica, present) not in updates:
        copies = tf.nest.map_structure(lambda v: _own_copy(v, context.strategy, replica), variables)
        kernels = optimizer.__dict__.setdefault(
            "_kernels", Kernels(optimizer, _compiles(optimizer, context))
        )
        updates[replica, present] = tf.function(
            functools.partial(_update, optimizer, kernels, copies, present), autograph=False
        )
    updates[replica, present](gradients, tf.convert_to_tensor(learning_rate))


def _update(optimizer, kernels, state, present, gradients, learning_rate):
    """`step` of this replica's variables, in place; `state` is a structure of TensorFlow's own."""
    plan = optimizer.plan
    gradients = plan.join(pure.filled(optimizer, gradients, present, state["parameters"]))
    thetas = [_variable_or_joined(block, state["parameters"]) for block in plan.blocks]
    sums = [kernels.measure(*of) for of in zip(plan.blocks, gradients, thetas, strict=True)]
    decision = kernels.decide(sums, state["bias_ratio"].value(), state["decay_on"].value(), present)
    moving = [n for n, block in enumerate(plan.blocks) if set(block.indices) & set(present)]
    packs = [n for n in moving if plan.blocks[n].packed]
    done = state["iterations"].value()
    scalars = kernels.terms(learning_rate, done)

    def updated():
        trust = [tf.ones(len(block.indices)) for block in plan.blocks]
        new = {}
        for n in moving:
            block = plan.blocks[n]
            new[n], trust[n] = kernels.update(
                block,
                present,
                thetas[n],
                gradients[n],
                state["slots"][n],
                plan.decay(block, decision["decay_on"]),
                decision["scale"],
                scalars,
            )
        small = {k: v.value() for k, v in state.items() if isinstance(v, tf.Variable)}
        _assign(state, pure.count(small, decision, learning_rate))
        state["trust_ratio"].assign(blocks.gather_by_variable(plan.blocks, trust))
        return [new[n] for n in packs]

    def skipped():
        names = ("skipped_updates", "skipped_in_a_row")
        _assign(state, pure.skip({name: state[name].value() for name in names}))
        return [thetas[n] for n in packs]

    goes_on = decision["finite"] if optimizer.skip_nonfinite else True
    new = _if(goes_on, updated, skipped)
    # Outside of the branch, which would take every small variable by a switch of its own.
    for n, theta in zip(packs, new, strict=True):
        block = plan.blocks[n]
        for i, value in zip(block.indices, block.split(theta), strict=True):
            variable = state["parameters"][i]
            value = tf.cast(value, variable.dtype)
            if optimizer.constraint(i) is not None:
                bound = functools.partial(optimizer.constrained, i, value)
                value = _if(goes_on, bound, lambda v=value: v)
            variable.assign(value)
    if optimizer.averages:

        def averaged():
            for n, (i, _) in enumerate(optimizer.averages):
                kernels.average(state["parameters"][i], state["averages"][n], done)

        _if(goes_on, averaged, lambda: None)


def _if(condition, yes, no):
    return yes() if condition is True else tf.cond(condition, yes, no)


class Kernels:
    """The functions of an optimizer's blocks, each traced and compiled once for blocks alike.

    Args:
        optimizer: the built optimizer.
        compile_them: whether XLA compiles them.
    """

    def __init__(self, optimizer, compile_them):
        self._optimizer = optimizer
        self._compile = compile_them
        self._functions = {}

    def measure(self, block, gradient, theta):
        """`step.measure`; theta is a variable, or the tensor of a packed block."""
        key, theta = block, _computed(block, theta)
        if not block.packed:  # the shape does not matter, the size does
            key, gradient, theta = (block.sizes, block.dtype), *_flat(gradient, theta)

        def measure(gradient, theta):
            return pure.measure(self._optimizer, block, gradient, theta)

        return self._function("measure", key, measure)(gradient, theta)

    def terms(self, learning_rate, updates_done):
        """`step.terms`."""

        def terms(learning_rate, updates_done):
            return pure.terms(self._optimizer, learning_rate, updates_done)

        return self._function("terms", None, terms)(learning_rate, updates_done)

    def decide(self, sums, ratio, on, present):
        """`step.decide`."""

        def decide(sums, ratio, on):
            return pure.decide(self._optimizer, sums, ratio, on, present)

        return self._function("decide", present, decide)(sums, ratio, on)

    def update(self, block, present, theta, gradient, slots, *scalars):
        """`step.update_block` in place, but for the theta of a packed block.

        Args:
            block, present: as there.
            theta: as in `measure`.
            gradient: tensor.
            slots: tuple of variables.
            *scalars: decay, scale, scalars, as there.

        Returns:
            The new theta of a packed block, or None, and the trust ratios.
        """

        def update(theta, gradient, slots, *scalars):
            old = tuple(slot.value() for slot in slots)
            new, new_slots, ratios = pure.update_block(
                self._optimizer, block, present, _computed(block, theta), gradient, old, *scalars
            )
            for slot, value in zip(slots, new_slots, strict=True):
                slot.assign(value)
            if not block.packed:
                theta.assign(*pure.weights_of(self._optimizer, block, new))
            return new if block.packed else None, ratios

        key = self._kind(block), present if block.packed else (), scalars[0] is None
        return self._function("update", key, update)(theta, gradient, slots, *scalars)

    def average(self, weight, kept, updates_done):
        """`step.average` in place."""

        def average(weight, kept, updates_done):
            values = weight.value(), kept.value(), updates_done
            for variable, value in zip(
                (weight, kept), pure.average(self._optimizer, *values), strict=True
            ):
                variable.assign(value)

        self._function("average", (weight.shape, weight.dtype), average)(weight, kept, updates_done)

    def _kind(self, block):
        """Blocks of one kind share their functions: nothing in these but arguments tells them."""
        if block.packed:
            return block
        (i,) = block.indices
        constraint = self._optimizer.constraint(i)
        adapts = self._optimizer.adapts(self._optimizer.roles.variables[i])
        return block.shape, block.dtype, adapts, None if constraint is None else i

    def _function(self, name, key, body):
        if (name, key) not in self._functions:
            self._functions[name, key] = tf.function(
                body, jit_compile=self._compile, autograph=False
            )
        return self._functions[name, key]


def _variable_or_joined(block, parameters):
    if block.packed:
        return block.join([parameters[i].value() for i in block.indices])
    return parameters[block.indices[0]]


def _computed(block, theta):
    """A block's theta in its compute dtype, of its variable or of the joined tensor."""
    return theta if block.packed else tf.cast(theta.value(), block.compute_dtype)


def _flat(*tensors):
    return [tf.reshape(tensor, [-1]) for tensor in tensors]


def _assign(state, values):
    for name, value in values.items():
        state[name].assign(value)


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
