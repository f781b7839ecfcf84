"""Adam with decoupled decay by policy: AdamW, without a trust ratio."""

import keras

from tf_bdecay import decay as decay_policies
from tf_bdecay.errors import check_number
from tf_bdecay.optim import formulas
from tf_bdecay.optim.arguments import Rate
from tf_bdecay.optim.base import DecayByRole


@keras.saving.register_keras_serializable("tf_bdecay")
class AdamW(DecayByRole):
    """Adam with decoupled weight decay, which a policy sets by role.

        m      <- beta_1 m + (1 - beta_1) g            v <- beta_2 v + (1 - beta_2) g^2
        a      =  (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
        theta  <- theta - eta (a + lambda theta)

    It is `Lamb` without trust ratios. As in Keras and PyTorch, decay is multiplied by the learning
    rate; in the paper only by the schedule. Unlike theirs, the default does not decay biases, gamma
    and beta: that is what recipes with AdamW do by hand, and where this project's question of
    beta's decay begins. An adaptive policy works as with `Lamb`.

    Args:
        learning_rate: eta: float, schedule of the number of updates, or callable.
        weight_decay: a policy of `tf_bdecay.decay`; "default" is `NoBiasDecay(0.01)`: kernels only,
            by PyTorch's coefficient.
        beta_1, beta_2: decay rates of the moments, in [0, 1).
        epsilon: added to the root of v, >= 0.
        **kwargs: `global_clipnorm`, `skip_nonfinite`, `roles`, `rate_multipliers`,
            `compile_update`, `name` and what every Keras optimizer has, as in `Lamb`.

    Raises:
        BadInput: an argument out of range, or one that would be silently wrong.

    Example:

        model.compile(tf_bdecay.AdamW(1e-3), loss="sparse_categorical_crossentropy")
        model.compile(tf_bdecay.AdamW(1e-3, tf_bdecay.decay.AdaptiveBetaDecay()), loss=loss)

    References:
        Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, Algorithm 2.
    """

    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: decay_policies.DecayPolicy | str = "default",
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        **kwargs,
    ):
        check_number("beta_1", beta_1, of="AdamW", below=1)
        check_number("beta_2", beta_2, of="AdamW", below=1)
        check_number("epsilon", epsilon, of="AdamW")
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1 = float(beta_1)
        self.beta_2 = float(beta_2)
        self.epsilon = float(epsilon)

    @staticmethod
    def default_policy():
        """Kernels only."""
        return decay_policies.NoBiasDecay(0.01)

    def scalars(self, learning_rate, updates):
        corrections = [formulas.bias_correction(b, updates) for b in (self.beta_1, self.beta_2)]
        return learning_rate, *corrections

    def rule(self, block, parameter, gradient, slots, decay, scalars):
        learning_rate, *corrections = scalars
        m, v = formulas.moments(gradient, *slots, self.beta_1, self.beta_2)
        u = formulas.adam_direction(m, v, self.epsilon, *corrections)
        if decay is not None:
            u = u + block.spread(decay) * parameter
        step = self.layout.step_sizes(block, learning_rate) * u
        return parameter - step, (m, v), self.unit_ratios(block)

    def get_config(self):
        """The arguments that make this optimizer again."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
