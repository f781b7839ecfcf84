"""What LAMB and LARS share: which variables have a trust ratio of their own."""

import numpy as np
from keras import ops

from tf_bdecay.errors import unknown
from tf_bdecay.optim.base import DecayByRole

ADAPTATIONS = ("kernels", "all", "decayed")


class AdaptedByRole(DecayByRole):
    """Base of optimizers that scale the step of some variables by a ratio of norms.

    Args:
        learning_rate, weight_decay: as in `DecayByRole`.
        layer_adaptation: which variables have a trust ratio: "kernels" (and other variables that go
            with kernels), "all", or "decayed", those that the policy may ever decay.
        **kwargs: as in `DecayByRole`.

    Raises:
        BadInput: an unknown `layer_adaptation`, or what `DecayByRole` refuses.
    """

    def __init__(self, learning_rate, weight_decay, layer_adaptation, **kwargs):
        if layer_adaptation not in ADAPTATIONS:
            kind = type(self).__name__
            raise unknown(f"layer_adaptation of {kind}", layer_adaptation, ADAPTATIONS)
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.layer_adaptation = layer_adaptation

    def adapts(self, variable):
        """Whether a variable, given as its `VariableRole`, has a trust ratio of its own."""
        if self.layer_adaptation == "decayed":
            return self.weight_decay.may_decay(variable)
        return self.layer_adaptation == "all" or variable.role in ("kernel", "other")

    def trust_ratios(self, block, compute):
        """Trust ratio of each variable of a block, 1 for those that are not adapted.

        Args:
            block: the `Block`.
            compute: function without arguments that returns the ratios as if all were adapted.

        Returns:
            Tensor [number of variables of the block].
        """
        adapted = np.array([self.adapts(self.roles.variables[i]) for i in block.indices])
        ones = self.unit_ratios(block)
        if not adapted.any():
            return ones
        ratios = compute()
        return ratios if adapted.all() else ops.where(adapted, ratios, ones)

    def get_config(self):
        """The arguments that recreate this optimizer."""
        return {**super().get_config(), "layer_adaptation": self.layer_adaptation}
