"""Coefficients of decay by the variables' paths, on top of any policy."""

import keras

from tf_bdecay import patterns
from tf_bdecay.decay.policies import DecayPolicy
from tf_bdecay.errors import require


@keras.saving.register_keras_serializable("tf_bdecay")
class WithPaths(DecayPolicy):
    """A policy with coefficients of their own for some variables, which are named by path.

    The policy's decisions still hold: a paired beta that a pattern names has another lambda, which
    an adaptive policy switches on and off as before. 0 means never.

    Args:
        policy: the policy for all other variables.
        paths: dict of regular expression to lambda >= 0. A pattern must match the whole path or all
            that follows some "/", as in `VariableRole.matches`. If several match a variable, the
            last one counts.

    Raises:
        BadInput: not a policy; a pattern that is not a regular expression; a lambda that is not a
            number >= 0; when the optimizer is built, a pattern that matches no trainable variable.

    Example:

        policy = WithPaths(AdaptiveBetaDecay(), {"head/bias": 0.0, "stage1_.*/kernel": 0.05})
    """

    def __init__(self, policy, paths):
        if isinstance(policy, dict):  # from a config
            policy = keras.saving.deserialize_keras_object(policy)
        require(
            isinstance(policy, DecayPolicy),
            f"`policy` of WithPaths must be a policy of tf_bdecay.decay. Received: {policy!r}",
        )
        self.policy = policy
        self.paths = patterns.numbers(paths, "paths", of="WithPaths")

    @property
    def adaptive(self):
        """Whether the inner policy is adaptive."""
        return self.policy.adaptive

    @property
    def source(self):
        """What the inner policy decides from."""
        return self.policy.source

    @property
    def threshold(self):
        """R of the inner policy, or None."""
        return getattr(self.policy, "threshold", None)

    def coefficient(self, variable):
        own = self._own(variable)
        return self.policy.coefficient(variable) if own is None else own

    def may_decay(self, variable):
        if self._own(variable) is None:
            return self.policy.may_decay(variable)
        return super().may_decay(variable)

    def may_switch_on(self, variable):
        return self.policy.may_switch_on(variable)

    def decide(self, ratio):
        return self.policy.decide(ratio)

    def check(self, variables):
        for pattern in self.paths:
            patterns.matching(
                pattern,
                [v.path for v in variables],
                "`paths` of WithPaths",
                places=[v.places for v in variables],
            )
        self.policy.check(variables)

    def get_config(self):
        policy = keras.saving.serialize_keras_object(self.policy)
        return {"policy": policy, "paths": self.paths}

    def _own(self, variable):
        """The coefficient of the last pattern that matches a variable, or None."""
        found = [value for pattern, value in self.paths.items() if variable.matches(pattern)]
        return found[-1] if found else None

    def __repr__(self):
        return f"WithPaths({self.policy!r}, {self.paths!r})"
