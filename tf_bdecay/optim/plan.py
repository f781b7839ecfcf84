"""What is fixed once the variables are known: blocks, coefficients of decay, pairs.

The plan turns gradients into sensitivities, sensitivities into the decision, and the decision into
the decay of each block: the middle of an update, in pure functions of tensors.
"""

import numpy as np
from keras import ops

from tf_bdecay.decay import checked_coefficient
from tf_bdecay.optim import blocks
from tf_bdecay.sensitivity import bias_ratio, connection_sensitivity


class Plan:
    """How the variables of one model are updated under one policy.

    Args:
        roles: `Roles` of the trainable variables.
        dtypes: list of their dtype names.
        policy: a `DecayPolicy`.
    """

    def __init__(self, roles, dtypes, policy):
        self.roles = roles
        self.policy = policy
        self.blocks = blocks.make_blocks([v.shape for v in roles.variables], dtypes)
        kind = type(policy).__name__
        self.coefficients = np.array(
            [checked_coefficient(kind, v.label, policy.coefficient(v)) for v in roles.variables],
            "float64",
        )
        self._gammas = np.array([pair.gamma for pair in roles.pairs], "int32")
        self._betas = np.array([pair.beta for pair in roles.pairs], "int32")

    @property
    def compute_dtype(self):
        """The finest compute dtype of its blocks."""
        return max((block.compute_dtype for block in self.blocks), default="float32")

    def join(self, tensors):
        """One tensor a block of one tensor a variable."""
        return [block.join([tensors[i] for i in block.indices]) for block in self.blocks]

    def sensitivity(self, block, gradient, parameter):
        """C_m of a block's variables, ||g theta||_1 (eq. 4 with the gradient of the batch).

        Args:
            block: the block.
            gradient, parameter: its tensors.

        Returns:
            Tensor [number of variables of the block].
        """
        (product,) = connection_sensitivity([gradient], [parameter])
        return block.sums(ops.abs(product))

    def decide(self, sensitivity, present):
        """r_l of every pair, and whether its beta decays (sec. 4.2).

        A pair of which one has no gradient (frozen since) has no ratio: 0, and no adaptive decay.

        Args:
            sensitivity: [V], from `sensitivity`.
            present: indices of the variables that have a gradient.

        Returns:
            Tensors [L]: r_l, and booleans.
        """
        ratio = bias_ratio(ops.take(sensitivity, self._betas), ops.take(sensitivity, self._gammas))
        whole = np.isin(self._gammas, list(present)) & np.isin(self._betas, list(present))
        if not whole.all():
            ratio = ops.where(whole, ratio, ops.zeros_like(ratio))
        decays = self.coefficients[self._betas] != 0
        if self.policy.adaptive:
            decays = decays & whole
        return ratio, ops.logical_and(self.policy.decide(ratio), decays)

    def decay(self, block, on):
        """lambda of every variable of a block in this update.

        Args:
            block: the block.
            on: [L] booleans, the decision.

        Returns:
            Tensor [number of variables of the block], or None where no variable ever decays.
        """
        coefficients = self.coefficients[list(block.indices)]
        if not coefficients.any():
            return None
        constant = ops.cast(coefficients, block.compute_dtype)
        layer = {beta: n for n, beta in enumerate(self._betas)}
        if not self.policy.adaptive or not layer.keys() & set(block.indices):
            return constant
        always = len(layer)  # the gate of a variable that nothing switches
        gates = ops.concatenate([on, ops.ones((1,), "bool")])
        gate = ops.take(gates, np.array([layer.get(i, always) for i in block.indices], "int32"))
        return constant * ops.cast(gate, block.compute_dtype)
