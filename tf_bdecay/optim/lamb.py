"""LAMB with decay inside the trust ratio and a policy for what decays (Algorithm 1)."""

import keras
from keras import ops

from tf_bdecay import decay as decay_policies
from tf_bdecay.errors import check_flag, check_number
from tf_bdecay.optim import formulas
from tf_bdecay.optim.adaptation import AdaptedByRole
from tf_bdecay.optim.arguments import Rate


@keras.saving.register_keras_serializable("tf_bdecay")
class Lamb(AdaptedByRole):
    """LAMB in which the decay of each normalization layer's beta follows its sharpness ratio.

        g      mean gradient of the global batch
        m      <- beta_1 m + (1 - beta_1) g            v <- beta_2 v + (1 - beta_2) g^2
        a      =  (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
        u_l    =  a_l + lambda_l theta_l
        theta_l <- theta_l - eta * ratio_l * u_l       ratio_l = ||theta_l|| / ||u_l||

    (Algorithm 1 with its misprints corrected, see docs/method.md; "layer" in the trust ratio means
    one variable.) With the default policy, lambda of a beta is 1.0 in an update where r_l >= 0.1
    and 0 otherwise, with r_l = ||g_beta beta||_1 / ||g_gamma gamma||_1 from the same gradient.
    `tf_bdecay.optim.step.decide` makes this decision; `step.update` is the order of an update.
    `keras.optimizers.Lamb` decays outside the trust ratio, which makes it a different optimizer:
    `Lamb(rate, decay.FullDecay(w), "all", epsilon=1e-7, decay_in_ratio=False)` reproduces it.

    Args:
        learning_rate: eta: float, schedule of the number of updates, or callable.
        weight_decay: a policy of `tf_bdecay.decay`; "default" is
            `AdaptiveBetaDecay(kernel=0.01, beta=1.0, threshold=0.1)`.
        layer_adaptation: which variables have a trust ratio: "kernels" (and other variables that go
            with kernels; otherwise, in the paper's settings, beta stays where it starts); "all",
            Algorithm 1 to the letter; "decayed", those that the policy may ever decay.
        beta_1, beta_2: decay rates of the moments, in [0, 1).
        epsilon: added to the root of v, >= 0.
        bias_correction: whether the moments are divided by 1 - beta^t.
        trust_clip: the largest trust ratio; None for none, as in the paper.
        decay_in_ratio: whether decay is part of u, as in the paper. If not, theta first becomes
            (1 - eta lambda) theta, and u is a: decoupled, as in AdamW and keras.optimizers.Lamb.
        global_clipnorm: limit of the norm of all reduced gradients together; None for none, as in
            the paper. The decision is taken before clipping.
        skip_nonfinite: whether an update leaves everything but `skipped_updates` as it was if its
            reduced gradients, or the variables they belong to, are not all finite.
        roles: dict of regular expression to role, for variables with unusual names.
        rate_multipliers: dict of a role or a regular expression on paths to a number >= 0 by which
            eta is multiplied for these variables: {"gamma": 0.5, "head/.*": 2.0}. A pattern takes
            precedence over a role, and a later pattern over an earlier one. 0 holds a variable
            where it is, while its moments and sensitivity are still updated.
        compile_update: "auto", True or False: whether XLA compiles the update (TensorFlow only).
        name: name of the optimizer; by default `lamb`, `lamb_1`, ..., as Keras numbers them.
        **kwargs: `gradient_norms`, whether each update keeps the norm of every variable's gradient
            for `decision()` (False); `use_ema`, `ema_momentum`, `ema_overwrite_frequency`,
            `loss_scale_factor`.

    Raises:
        BadInput: an argument that is out of range or would silently do the wrong thing (a bare
            float as `weight_decay`, `gradient_accumulation_steps`, `clipnorm`, `clipvalue`).

    Example:

        model.compile(tf_bdecay.Lamb(0.01), loss="sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=1024)
        print(model.optimizer.decision())  # model.optimizer.inner_optimizer under mixed_float16

    References:
        "Bias decay matters: improving large batch optimization with connectivity sharpness",
        sec. 4.2 and Algorithm 1. You et al., "Large batch optimization for deep learning: training
        BERT in 76 minutes", ICLR 2020, Algorithm 2 (LAMB).
    """

    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: decay_policies.DecayPolicy | str = "default",
        layer_adaptation="kernels",
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        bias_correction=True,
        trust_clip=None,
        decay_in_ratio=True,
        global_clipnorm=None,
        skip_nonfinite=True,
        roles=None,
        rate_multipliers=None,
        compile_update: bool | str = "auto",
        name=None,
        **kwargs,
    ):
        check_number("beta_1", beta_1, of="Lamb", below=1)
        check_number("beta_2", beta_2, of="Lamb", below=1)
        check_number("epsilon", epsilon, of="Lamb")
        check_flag("bias_correction", bias_correction, of="Lamb")
        check_flag("decay_in_ratio", decay_in_ratio, of="Lamb")
        if trust_clip is not None:
            check_number("trust_clip", trust_clip, of="Lamb", above=0)
        super().__init__(
            learning_rate,
            weight_decay,
            layer_adaptation,
            global_clipnorm=global_clipnorm,
            skip_nonfinite=skip_nonfinite,
            roles=roles,
            rate_multipliers=rate_multipliers,
            compile_update=compile_update,
            name=name,
            **kwargs,
        )
        self.beta_1 = float(beta_1)
        self.beta_2 = float(beta_2)
        self.epsilon = float(epsilon)
        self.bias_correction = bias_correction
        self.trust_clip = None if trust_clip is None else float(trust_clip)
        self.decay_in_ratio = decay_in_ratio

    @staticmethod
    def default_policy():
        """Adaptive beta decay as in the paper (appendix A.2)."""
        return decay_policies.AdaptiveBetaDecay(kernel=0.01, beta=1.0, threshold=0.1)

    def scalars(self, learning_rate, updates):
        if not self.bias_correction:
            return (learning_rate,)
        corrections = [formulas.bias_correction(b, updates) for b in (self.beta_1, self.beta_2)]
        return learning_rate, *corrections

    def rule(self, block, parameter, gradient, slots, decay, scalars):
        learning_rate, *corrections = scalars
        m, v = formulas.moments(gradient, *slots, self.beta_1, self.beta_2)
        u = formulas.adam_direction(m, v, self.epsilon, *corrections)
        if decay is not None:
            pull = block.spread(decay) * parameter
            if self.decay_in_ratio:
                u = u + pull
            else:
                parameter = parameter - self.layout.step_sizes(block, learning_rate) * pull
        ratio = self.trust_ratios(block, lambda: self._trust_ratio(block, parameter, u))
        step = self.layout.step_sizes(block, learning_rate, ratio) * u
        return parameter - step, (m, v), ratio

    def _trust_ratio(self, block, parameter, u):
        norms = [ops.sqrt(block.square_sums(x)) for x in (parameter, u)]
        return formulas.trust_ratio(*norms, self.trust_clip)

    def get_config(self):
        """The arguments that recreate this optimizer."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "bias_correction": self.bias_correction,
            "trust_clip": self.trust_clip,
            "decay_in_ratio": self.decay_in_ratio,
        }
