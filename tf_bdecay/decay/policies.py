"""The policies of the paper's comparisons: docs/method.md, "Decay policies", has their table."""

import math
import numbers

import keras
from keras import ops

from tf_bdecay.errors import BadInput, check_number, unknown

_PACKAGE = "tf_bdecay"


class DecayPolicy:
    """Base class of all policies; by itself it decays nothing.

    Attributes:
        adaptive: whether `decide` switches the decay of paired betas at every update.
        source: "update" to decide from each update's own reduced gradients, "probe" to keep the
            decision that a callback wrote last.
    """

    adaptive = False
    source = "update"

    def coefficient(self, variable):
        """Decay of one variable, while it is switched on.

        Args:
            variable: its `VariableRole`.

        Returns:
            A float >= 0, the lambda of u = a + lambda * theta.
        """
        del variable
        return 0.0

    def may_decay(self, variable):
        """Whether a variable, given as its `VariableRole`, ever decays."""
        return self.coefficient(variable) > 0 and self.may_switch_on(variable)

    def may_switch_on(self, variable):
        """Whether `decide` ever switches on the decay of a variable that has a coefficient."""
        del variable
        return True

    def check(self, variables):
        """Checks the policy against a network, when an optimizer is built.

        Args:
            variables: the `VariableRole`s of all trainable variables.

        Raises:
            BadInput: the policy does not suit these variables.
        """
        del variables

    def decide(self, ratio):
        """Whether each paired beta decays in this update.

        Args:
            ratio: float tensor [L], r_l = C(beta_l) / C(gamma_l) of every pair.

        Returns:
            Boolean tensor [L].
        """
        return ops.ones_like(ratio, dtype="bool")

    def get_config(self):
        """The arguments that recreate this policy."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Creates the policy that a `get_config` describes."""
        return cls(**config)

    def __repr__(self):
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash(repr(self))


class _ByRole(DecayPolicy):
    """A constant coefficient for each role; `other` goes with the kernels (Algorithm 1)."""

    def __init__(self, **coefficients):
        self._names = tuple(coefficients)
        for name, value in coefficients.items():
            setattr(self, name, checked_coefficient(type(self).__name__, name, value))

    kernel = bias = gamma = beta = 0.0

    def coefficient(self, variable):
        return self.kernel if variable.role == "other" else getattr(self, variable.role)

    def get_config(self):
        return {name: getattr(self, name) for name in self._names}


@keras.saving.register_keras_serializable(_PACKAGE)
class NoDecay(_ByRole):
    """No variable decays."""

    def __init__(self):
        super().__init__()


@keras.saving.register_keras_serializable(_PACKAGE)
class FullDecay(_ByRole):
    """Every variable decays by the same coefficient.

    Args:
        weight: lambda of all variables.
    """

    def __init__(self, weight=0.01):
        super().__init__(weight=weight)

    def coefficient(self, variable):
        return self.weight


@keras.saving.register_keras_serializable(_PACKAGE)
class NoBiasDecay(_ByRole):
    """The no bias decay heuristic: only kernels decay.

    Args:
        kernel: lambda of kernels.
    """

    def __init__(self, kernel=0.01):
        super().__init__(kernel=kernel)


@keras.saving.register_keras_serializable(_PACKAGE)
class BiasDecay(_ByRole):
    """Bias decay of Fig. 1: biases and betas decay too, gammas do not.

    Args:
        bias: lambda of the biases of convolutions and dense layers, and of beta.
        kernel: lambda of kernels.
    """

    def __init__(self, bias=1.0, kernel=0.01):
        super().__init__(kernel=kernel, bias=bias)
        self.beta = self.bias


@keras.saving.register_keras_serializable(_PACKAGE)
class GammaDecay(_ByRole):
    """Gamma decay of Table 3: kernels and gammas decay.

    Args:
        gamma: lambda of gamma.
        kernel: lambda of kernels.
        bias: lambda of the biases of convolutions and dense layers.
    """

    def __init__(self, gamma=0.01, kernel=0.01, bias=0.0):
        super().__init__(kernel=kernel, bias=bias, gamma=gamma)


@keras.saving.register_keras_serializable(_PACKAGE)
class BetaDecay(_ByRole):
    """Beta decay of sec. 4.1: every beta decays, at every update.

    Args:
        kernel: lambda of kernels.
        beta: lambda of beta.
        bias: lambda of the biases of convolutions and dense layers; None for the kernels' lambda,
            which is Algorithm 1 to the letter.
        gamma: lambda of gamma.
    """

    def __init__(self, kernel=0.01, beta=1.0, bias=None, gamma=0.0):
        bias = kernel if bias is None else bias
        super().__init__(kernel=kernel, bias=bias, gamma=gamma, beta=beta)


@keras.saving.register_keras_serializable(_PACKAGE)
class AdaptiveBetaDecay(_ByRole):
    """Adaptive beta decay of sec. 4.2 and Algorithm 1.

    In an update the beta of layer l decays only if r_l = C(beta_l) / C(gamma_l) >= R.

    Args:
        kernel: lambda of kernels.
        beta: lambda of a beta that is switched on.
        threshold: R, dimensionless; 0 is fixed beta decay, `math.inf` means never.
        bias: lambda of the biases of convolutions and dense layers; None for the kernels' lambda,
            which is Algorithm 1 to the letter.
        gamma: lambda of gamma.
        unpaired: lambda of a beta without a gamma, which has no r_l.
        source: "update" decides from each update's own reduced gradients; "probe" keeps what the
            callback `ProbeDecision` wrote last.
    """

    adaptive = True

    def __init__(
        self,
        kernel=0.01,
        beta=1.0,
        threshold=0.1,
        bias=None,
        gamma=0.0,
        unpaired=0.0,
        source="update",
    ):
        bias = kernel if bias is None else bias
        super().__init__(kernel=kernel, bias=bias, gamma=gamma, beta=beta, unpaired=unpaired)
        number = isinstance(threshold, numbers.Real) and not isinstance(threshold, bool)
        if not number or math.isnan(threshold) or threshold < 0:
            raise BadInput(
                "The threshold R of AdaptiveBetaDecay must be a number >= 0 (inf: never decay). "
                f"Received: threshold={threshold!r}"
            )
        if source not in ("update", "probe"):
            raise unknown("source of AdaptiveBetaDecay", source, ("update", "probe"))
        self.threshold = float(threshold)
        self.source = source

    def coefficient(self, variable):
        if variable.role == "beta" and variable.partner is None:
            return self.unpaired
        return super().coefficient(variable)

    def may_switch_on(self, variable):
        paired = variable.role == "beta" and variable.partner is not None
        return not (paired and math.isinf(self.threshold))

    def decide(self, ratio):
        if math.isinf(self.threshold):  # never, even where r is infinite itself
            return ops.zeros_like(ratio, dtype="bool")
        return ops.greater_equal(ratio, ops.cast(self.threshold, ratio.dtype))

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold, "source": self.source}


POLICIES = {
    "none": NoDecay,
    "full": FullDecay,
    "no_bias": NoBiasDecay,
    "bias": BiasDecay,
    "gamma": GammaDecay,
    "beta": BetaDecay,
    "adaptive": AdaptiveBetaDecay,
}


def get(name, **arguments):
    """Makes a policy from its name, as configs and flags give it.

    Args:
        name: "none", "full", "no_bias", "bias", "gamma", "beta" or "adaptive".
        **arguments: the policy's arguments, such as its coefficients by role.

    Raises:
        BadInput: an unknown name, or an argument that the policy does not have.
    """
    if name not in POLICIES:
        raise unknown("decay policy", name, POLICIES)
    try:
        return POLICIES[name](**arguments)
    except TypeError as error:
        raise BadInput(f"The decay policy {name!r} cannot take these arguments: {error}") from error


def checked_coefficient(policy, name, value):
    """Checks a coefficient and returns it as a float.

    Raises:
        BadInput: it is not a finite number >= 0.
    """
    check_number(name, value, of=f"the decay policy {policy}")
    return float(value)
