"""LARS: momentum SGD with a trust ratio for each variable and decay by policy."""

import keras
from keras import ops

from tf_bdecay import decay as decay_policies
from tf_bdecay.errors import check_flag, check_number
from tf_bdecay.optim import formulas
from tf_bdecay.optim.adaptation import AdaptedByRole
from tf_bdecay.optim.arguments import Rate


@keras.saving.register_keras_serializable("tf_bdecay")
class Lars(AdaptedByRole):
    """LARS with weight decay that a policy sets by role.

        ratio_l = c ||theta_l|| / (||g_l|| + lambda_l ||theta_l|| + epsilon),  1 where a norm is 0
        b       <- momentum b + eta ratio_l (g + lambda theta)
        theta   <- theta - b

    This is the paper's Algorithm 1 and MLPerf's reference. The rate is inside the momentum, so a
    change of eta reaches the step over the next 1 / (1 - momentum) updates; in `SGD` the rate is
    outside. With Nesterov's momentum the step is eta ratio (g + lambda theta) + momentum b.
    Variables that are not adapted have ratio 1, without the trust coefficient, and so take the
    steps of plain SGD at the rate eta.

    Args:
        learning_rate: eta: float, schedule of the number of updates, or callable. Rates are large:
            a gradient moves an adapted variable by eta c of its norm, so a rate of 1 with
            `trust_coefficient=0.001` and momentum 0.9 moves it by about a hundredth an update.
        weight_decay: a policy of `tf_bdecay.decay`; "default" is `NoBiasDecay(0.0001)`, kernels
            only, as in MLPerf's reference.
        layer_adaptation: which variables have a trust ratio: "kernels" (and other variables that go
            with kernels), as in MLPerf's reference, which skips biases and batch normalization;
            "all", the paper to the letter; "decayed", those that the policy may ever decay.
        trust_coefficient: c, > 0.
        momentum: in [0, 1).
        nesterov: whether to use Nesterov's momentum.
        epsilon: added to the ratio's denominator, >= 0.
        **kwargs: `global_clipnorm`, `skip_nonfinite`, `roles`, `rate_multipliers`,
            `compile_update`, `name` and the arguments of every Keras optimizer, as in `Lamb`.

    Raises:
        BadInput: an argument that is out of range or would silently do the wrong thing.

    Example:

        rate = tf_bdecay.schedules.PolynomialWarmupDecay(4.0, total_updates=1000)
        model.compile(tf_bdecay.Lars(rate), loss="sparse_categorical_crossentropy")

    References:
        You, Gitman and Ginsburg, "Large batch training of convolutional networks",
        arXiv:1708.03888, 2017, eq. 6 and Algorithm 1.
    """

    slots = ("momentum",)

    def __init__(
        self,
        learning_rate: Rate = 1.0,
        weight_decay: decay_policies.DecayPolicy | str = "default",
        layer_adaptation="kernels",
        trust_coefficient=0.001,
        momentum=0.9,
        nesterov=False,
        epsilon=0.0,
        **kwargs,
    ):
        check_number("trust_coefficient", trust_coefficient, of="Lars", above=0)
        check_number("momentum", momentum, of="Lars", below=1)
        check_flag("nesterov", nesterov, of="Lars")
        check_number("epsilon", epsilon, of="Lars")
        super().__init__(learning_rate, weight_decay, layer_adaptation, **kwargs)
        self.trust_coefficient = float(trust_coefficient)
        self.momentum = float(momentum)
        self.nesterov = nesterov
        self.epsilon = float(epsilon)

    @staticmethod
    def default_policy():
        """Kernels only."""
        return decay_policies.NoBiasDecay(0.0001)

    def rule(self, block, parameter, gradient, slots, decay, scalars):
        (learning_rate,) = scalars

        def ratios():
            norms = [ops.sqrt(block.square_sums(x)) for x in (parameter, gradient)]
            coefficients = 0.0 if decay is None else decay
            return formulas.lars_trust_ratio(
                *norms, coefficients, self.trust_coefficient, self.epsilon
            )

        ratio = self.trust_ratios(block, ratios)
        d = gradient if decay is None else gradient + block.spread(decay) * parameter
        d = self.layout.step_sizes(block, learning_rate, ratio) * d
        step, buffer = formulas.heavy_ball(d, slots[0], self.momentum, self.nesterov)
        return parameter - step, (buffer,), ratio

    def get_config(self):
        """The arguments that recreate this optimizer."""
        return {
            **super().get_config(),
            "trust_coefficient": self.trust_coefficient,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "epsilon": self.epsilon,
        }
