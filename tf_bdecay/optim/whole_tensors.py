"""The engine for any backend: every function takes whole tensors and returns new ones.

Under JAX, compilation of the user's train step fuses the functions into few kernels.
"""

from keras import ops, tree

from tf_bdecay.optim import step
from tf_bdecay.optim.engine import Engine


class Updates:
    """Runs the updates of an optimizer.

    Args:
        optimizer: the built optimizer.
    """

    def __init__(self, optimizer):
        self._optimizer = optimizer

    def apply(self, gradients, overwrites, learning_rate):
        """Updates the optimizer's variables once.

        Args:
            gradients: dict of gradients by index of their variable, ascending.
            overwrites: dict of new values of variables, by index.
            learning_rate: scalar eta.
        """
        variables = self._optimizer.state()
        state = tree.map_structure(lambda v: v.value, variables)
        engine = WholeTensors(self._optimizer, state, tuple(gradients), tuple(overwrites))
        step.update(engine, list(gradients.values()), learning_rate, list(overwrites.values()))
        tree.map_structure(lambda variable, value: variable.assign(value), variables, engine.state)


class WholeTensors(Engine):
    """An update's state as tensors, which every step replaces.

    Args:
        optimizer, present, replaced: as in `Engine`.
        state: the optimizer's `state()` as tensors.

    Attributes:
        state: the state, new once `step.update` has run.
    """

    def __init__(self, optimizer, state, present, replaced=()):
        super().__init__(optimizer, present, replaced)
        self.state = state
        self._thetas = self.layout.join(state["parameters"])

    def value(self, name):
        return self.state[name]

    def write(self, values):
        self.state = {**self.state, **values}

    def reduce(self, gradients):
        return self.layout.join(self._filled(gradients, self.state["parameters"]))

    def norms(self, n, gradient):
        block = self.layout.blocks[n]
        return step.norms(block, gradient, self._thetas[n], self._needs_squares)

    def judge(self, sums):
        in_force = self.value("bias_ratio"), self.value("decay_on")
        return step.judge(self.optimizer, sums, *in_force, self.present)

    def move(self, n, gradient, decay, decision, scalars):
        block, slots = self.layout.blocks[n], self.state["slots"]
        theta, new_slots, ratios = step.moved(
            self.optimizer,
            block,
            self.present,
            self._thetas[n],
            gradient,
            slots[n],
            decay,
            decision["clip"],
            scalars,
        )
        parameters = list(self.state["parameters"])
        values = self._weights(block, theta)
        for i, value in zip(block.indices, values, strict=True):
            parameters[i] = value
        self.write({"parameters": parameters, "slots": (*slots[:n], new_slots, *slots[n + 1 :])})
        return ratios

    def overwrite(self, values):
        parameters = list(self.state["parameters"])
        for i, value in zip(self.replaced, values, strict=True):
            parameters[i] = ops.cast(value, parameters[i].dtype)
        self.write({"parameters": parameters})

    def average(self, n, updates_done):
        parameters, averages = list(self.state["parameters"]), list(self.state["averages"])
        i, _ = self.optimizer.averages[n]
        parameters[i], averages[n] = step.averaged(
            self.optimizer, parameters[i], averages[n], updates_done, i in self.present
        )
        self.write({"parameters": parameters, "averages": averages})

    def branch(self, condition, yes, no):
        before = self.state

        def after(function):
            self.state = before
            function()
            return self.state

        if condition is True:
            self.state = after(yes)
        else:
            self.state = ops.cond(condition, lambda: after(yes), lambda: after(no))
