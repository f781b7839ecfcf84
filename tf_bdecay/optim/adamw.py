"""AdamW: Adam with decoupled decay by policy and without a trust ratio."""

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

    This is `Lamb` without trust ratios. Decay is multiplied by the learning rate, as in Keras and
    PyTorch; in the paper, it is multiplied by the schedule alone. Unlike theirs, the default does
    not decay biases, gamma and beta: recipes with AdamW exclude them by hand, and this project
    questions that habit for beta. An adaptive policy works as with `Lamb`.

    Args:
        learning_rate: eta: float, schedule of the number of updates, or callable.
        weight_decay: a policy of `tf_bdecay.decay`; "default" is `NoBiasDecay(0.01)`: kernels only,
            with PyTorch's coefficient.
        beta_1, beta_2: decay rates of the moments, in [0, 1).
        epsilon: added to the root of v, >= 0.
        **kwargs: `global_clipnorm`, `skip_nonfinite`, `roles`, `rate_multipliers`,
            `compile_update`, `name` and the arguments of every Keras optimizer, as in `Lamb`.

    Raises:
        BadInput: an argument that is out of range or would silently do the wrong thing.

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
        """The arguments that recreate this optimizer."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
