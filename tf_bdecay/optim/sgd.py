"""SGD with momentum and decay by policy: the baseline of Table 1."""

import keras

from tf_bdecay import decay as decay_policies
from tf_bdecay.errors import check_flag, check_number
from tf_bdecay.optim import formulas
from tf_bdecay.optim.arguments import Rate
from tf_bdecay.optim.base import DecayByRole


@keras.saving.register_keras_serializable("tf_bdecay")
class SGD(DecayByRole):
    """SGD with momentum, and weight decay that a policy sets by role.

        coupled (L2):  d = g + lambda theta;  b <- momentum b + d;  theta <- theta - eta b
        decoupled:     b <- momentum b + g;   theta <- theta - eta (b + lambda theta)

    With Nesterov's momentum, d + momentum b (decoupled: g + momentum b) takes the place of b.
    Keras' own `weight_decay` is decoupled; the paper's tables use SGD's usual coupled decay.

    Args:
        learning_rate: eta: float, schedule of the number of updates, or callable.
        momentum: in [0, 1).
        nesterov: whether to use Nesterov's momentum.
        weight_decay: a policy of `tf_bdecay.decay`; "default" is `FullDecay(0.005)`, Table 1's.
        coupled: whether decay goes through the momentum.
        **kwargs: `global_clipnorm`, `skip_nonfinite`, `roles`, `rate_multipliers`,
            `compile_update`, `name` and the arguments of every Keras optimizer, as in `Lamb`.

    Raises:
        BadInput: an argument that is out of range or would silently do the wrong thing.
    """

    slots = ("momentum",)

    def __init__(
        self,
        learning_rate: Rate = 0.1,
        momentum=0.9,
        nesterov=False,
        weight_decay: decay_policies.DecayPolicy | str = "default",
        coupled=True,
        **kwargs,
    ):
        check_number("momentum", momentum, of="SGD", below=1)
        check_flag("nesterov", nesterov, of="SGD")
        check_flag("coupled", coupled, of="SGD")
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.momentum = float(momentum)
        self.nesterov = nesterov
        self.coupled = coupled

    @staticmethod
    def default_policy():
        """Table 1's decay, on every parameter."""
        return decay_policies.FullDecay(0.005)

    def rule(self, block, parameter, gradient, slots, decay, scalars):
        (learning_rate,) = scalars
        pull = None if decay is None else block.spread(decay) * parameter
        if pull is not None and self.coupled:
            gradient = gradient + pull
        u, buffer = formulas.heavy_ball(gradient, slots[0], self.momentum, self.nesterov)
        if pull is not None and not self.coupled:
            u = u + pull
        step = self.layout.step_sizes(block, learning_rate) * u
        return parameter - step, (buffer,), self.unit_ratios(block)

    def get_config(self):
        """The arguments that recreate this optimizer."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "coupled": self.coupled,
        }
