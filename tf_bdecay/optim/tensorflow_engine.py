"""The TensorFlow engine: one all-reduce, then a few compiled functions per block, in place.

Each replica gets the sum of all replicas' gradients and then updates its own copies of the
variables. All replicas compute the same from the same values, so the copies stay equal. XLA
compiles what touches every parameter block by block and in place, even inside a `fit` whose whole
step XLA cannot compile (MirroredStrategy). Blocks of one kind share a compiled function: compile
time grows with the number of different shapes, not with the depth.
"""

import functools

import tensorflow as tf

from tf_bdecay.distribution.strategies import own_copy, this_replica
from tf_bdecay.errors import require
from tf_bdecay.optim import step
from tf_bdecay.optim.engine import Engine


class Updates:
    """The traced updates of an optimizer, one for each replica and set of gradients.

    Args:
        optimizer: the built optimizer.

    Attributes:
        compiled: dict of (name, key that tells functions of a name apart) to `tf.function`.
    """

    def __init__(self, optimizer):
        self._optimizer = optimizer
        self._traced = {}
        self.compiled = {}

    def apply(self, gradients, overwrites, learning_rate):
        """Reduces the gradients and updates this replica's variables.

        Args:
            gradients: dict of local gradients by index of their variable, ascending.
            overwrites: dict of this replica's new values of variables, by index.
            learning_rate: scalar eta.
        """
        optimizer, context = self._optimizer, tf.distribute.get_replica_context()
        require(
            context is not None,
            "`apply` was called in a cross-replica context: call it inside strategy.run(...), as "
            "`fit` does.",
        )
        replicas, state = context.strategy.num_replicas_in_sync, optimizer.state()
        one = state["skipped_updates"].value  # any variable that building creates
        require(
            replicas == 1 or context.strategy.extended.variable_created_in_scope(one),
            f"The optimizer was built outside the scope of the strategy, so its {replicas} "
            "replicas would share one state: build it, or compile the model, inside "
            "`with strategy.scope():`.",
        )
        present, replaced = tuple(gradients), tuple(overwrites)
        gradients, overwrites = list(gradients.values()), list(overwrites.values())
        if replicas > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            if overwrites:
                overwrites = context.all_reduce(tf.distribute.ReduceOp.MEAN, overwrites)
        key = this_replica(), present, replaced
        if key not in self._traced:
            copies = tf.nest.map_structure(own_copy, state)
            compiled = self._compiled_function(context)
            engine = InPlace(optimizer, copies, present, compiled, replaced)
            self._traced[key] = tf.function(functools.partial(step.update, engine), autograph=False)
        self._traced[key](gradients, tf.convert_to_tensor(learning_rate), overwrites)

    def _compiled_function(self, context):
        """A function of (name, key, body) that compiles a body once for every name and key."""
        compiles = self._optimizer.compile_update
        if compiles == "auto":  # a TPU's step is compiled whole
            compiles = not isinstance(context.strategy, tf.distribute.TPUStrategy)

        def function(name, key, body):
            if (name, key) not in self.compiled:
                self.compiled[name, key] = tf.function(body, jit_compile=compiles, autograph=False)
            return self.compiled[name, key]

        return function


class InPlace(Engine):
    """An update's state as one replica's own TensorFlow variables, written in place.

    Large variables are written inside the compiled functions. Small ones are joined in packs:
    `branch` returns the packs' new values from the conditional and writes them afterwards, because
    inside it each small variable would need a switch of its own.

    Args:
        optimizer, present, replaced: as in `Engine`.
        state: the optimizer's `state()` as this replica's variables.
        function: function of (name, key, body) that returns the compiled body, one for each name
            and key.
    """

    def __init__(self, optimizer, state, present, function, replaced=()):
        super().__init__(optimizer, present, replaced)
        self._state, self._function = state, function
        self._packs, self._moved = {}, {}

    def value(self, name):
        return self._state[name].value()

    def write(self, values):
        for name, value in values.items():
            self._state[name].assign(value)

    def reduce(self, gradients):
        parameters, blocks = self._state["parameters"], self.layout.blocks
        gradients = self._filled(gradients, parameters)  # already summed over replicas
        self._packs = {
            n: block.join([parameters[i].value() for i in block.indices])
            for n, block in enumerate(blocks)
            if block.packed
        }
        return self.layout.join(gradients)

    def norms(self, n, gradient):
        block, theta = self.layout.blocks[n], self._theta(n)
        key = block
        if not block.packed:  # only the size matters, so equal sizes share a function
            key = block.sizes, block.dtype
            gradient, theta = (tf.reshape(t, [-1]) for t in (gradient, theta))

        def norms(gradient, theta):
            return step.norms(block, gradient, theta, self._needs_squares)

        return self._function("norms", key, norms)(gradient, theta)

    def judge(self, sums):
        def judge(sums, ratio, on):
            return step.judge(self.optimizer, sums, ratio, on, self.present)

        in_force = self.value("bias_ratio"), self.value("decay_on")
        return self._function("judge", self.present, judge)(sums, *in_force)

    def scalars(self, learning_rate, updates_done):
        return self._function("scalars", None, super().scalars)(learning_rate, updates_done)

    def move(self, n, gradient, decay, decision, scalars):
        optimizer, block, present = self.optimizer, self.layout.blocks[n], self.present
        if not set(block.indices) & set(present):
            return tf.ones(len(block.indices))

        def move(theta, gradient, slots, *rest):
            old = tuple(slot.value() for slot in slots)
            value = theta if block.packed else tf.cast(theta.value(), block.compute_dtype)
            new, new_slots, ratios = step.moved(
                optimizer, block, present, value, gradient, old, *rest
            )
            for slot, tensor in zip(slots, new_slots, strict=True):
                slot.assign(tensor)
            if not block.packed:
                theta.assign(*self._weights(block, new))
            return new if block.packed else None, ratios

        key = self._kind(block), present if block.packed else (), decay is None
        theta = self._packs[n] if block.packed else self._state["parameters"][block.indices[0]]
        arguments = theta, gradient, self._state["slots"][n], decay, decision["clip"], scalars
        new, ratios = self._function("move", key, move)(*arguments)
        if block.packed:
            self._moved[n] = new
        return ratios

    def overwrite(self, values):
        for i, value in zip(self.replaced, values, strict=True):
            variable = self._state["parameters"][i]
            variable.assign(tf.cast(value, variable.dtype))

    def average(self, n, updates_done):
        i, _ = self.optimizer.averages[n]
        weight, kept = self._state["parameters"][i], self._state["averages"][n]
        moves = i in self.present

        def average(weight, kept, updates_done):
            values = weight.value(), kept.value()
            values = step.averaged(self.optimizer, *values, updates_done, moves)
            for variable, value in zip((weight, kept), values, strict=True):
                variable.assign(value)

        key = weight.shape, weight.dtype, moves
        self._function("average", key, average)(weight, kept, updates_done)

    def branch(self, condition, yes, no):
        def moved():
            self._moved = {}
            yes()
            return list(self._moved.values())

        def kept():
            no()
            return [self._packs[n] for n in self._moved]

        packs = _if(condition, moved, kept)
        for n, theta in zip(self._moved, packs, strict=True):
            self._write_pack(self.layout.blocks[n], theta, condition)
        self._moved = {}

    def _write_pack(self, block, theta, condition):
        for i, value in zip(block.indices, block.split(theta), strict=True):
            if i in self.replaced:
                continue
            variable = self._state["parameters"][i]
            value = tf.cast(value, variable.dtype)
            if self._constraint_of(i) is not None:
                bound = functools.partial(self._constrained, i, value)
                value = _if(condition, bound, lambda v=value: v)
            variable.assign(value)

    def _theta(self, n):
        """Block n's theta in its compute dtype."""
        block = self.layout.blocks[n]
        if block.packed:
            return self._packs[n]
        return tf.cast(self._state["parameters"][block.indices[0]].value(), block.compute_dtype)

    def _kind(self, block):
        """Key of a block's compiled functions; blocks of one kind differ only in the arguments."""
        if block.packed:
            return block
        (i,) = block.indices
        constraint = self._constraint_of(i)
        adapts = self.optimizer.adapts(self.layout.roles.variables[i])
        rate = self.layout.multipliers[i]
        return block.shape, block.dtype, adapts, rate, None if constraint is None else i


def _if(condition, yes, no):
    return yes() if condition is True else tf.cond(condition, yes, no)
