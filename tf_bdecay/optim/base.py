"""What the optimizers share: roles, decay by policy, skipping, state.

The path of a gradient: `apply` -> an engine -> `step.update`, which is the order of an update.
"""

import numbers
import warnings

import keras
from keras import ops

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput, check_flag, check_number, require, shown
from tf_bdecay.frameworks import keras_private, quirks
from tf_bdecay.optim import arguments, whole_tensors
from tf_bdecay.optim.blocks import Layout
from tf_bdecay.optim.decision import Decides
from tf_bdecay.optim.gradients import by_index
from tf_bdecay.roles import roles_of


class DecayByRole(Decides, keras.optimizers.Optimizer):
    """Base of optimizers whose weight decay is a policy over roles.

    Args:
        learning_rate: float, schedule (called with the number of updates done) or callable.
        weight_decay: a `tf_bdecay.decay` policy, or "default".
        global_clipnorm: float, limit of the norm of all reduced gradients together; None for none.
        skip_nonfinite: whether an update is skipped as a whole if its reduced gradients, or the
            variables they belong to, are not all finite: weights, moments, decision, averages and
            `iterations` stay as they were. Updates that Keras' LossScaleOptimizer skips never reach
            this optimizer and are not counted; `tf_bdecay.LossScaleOptimizer` leaves the skipping
            to this optimizer.
        roles: dict of regular expression to role, for variables with unusual names.
        rate_multipliers: dict of a role ("kernel", "bias", "gamma", "beta", "other") or a regular
            expression on paths to a number >= 0 by which eta is multiplied for these variables, in
            the step and in its decay alike. A pattern is matched as in `roles`. It takes precedence
            over a role, and a later pattern over an earlier one. 0 holds a variable where it is,
            while its moments and C_m are still updated and its gradient still counts in the norm of
            all gradients.
        compile_update: "auto", True or False: whether XLA compiles the update (TensorFlow only).
        name: name of the optimizer.
        gradient_norms: whether each update keeps the norm of every variable's reduced gradient,
            before clipping, for `decision()` and callbacks. It costs one more pass over the
            gradients and adds a variable to the saved state.
        **kwargs: `use_ema`, `ema_momentum`, `ema_overwrite_frequency`, `loss_scale_factor`, as in
            every Keras optimizer.

    Raises:
        BadInput: an argument that is out of range or would silently do the wrong thing.
    """

    slots = ()  # names of the moments that a subclass keeps for every variable
    _decided_by_probe = False  # whether there is a decision to apply: `set_decision` was called

    @staticmethod
    def default_policy():
        """The policy that `weight_decay="default"` stands for."""
        raise NotImplementedError

    def __init__(
        self,
        learning_rate,
        weight_decay="default",
        global_clipnorm=None,
        skip_nonfinite=True,
        roles=None,
        rate_multipliers=None,
        compile_update="auto",
        name=None,
        gradient_norms=False,
        **kwargs,
    ):
        kind = type(self).__name__
        kept = arguments.keras_arguments(kind, kwargs)
        if isinstance(learning_rate, numbers.Real):
            check_number("learning_rate", learning_rate, of=kind)
            learning_rate = float(learning_rate)
        if global_clipnorm is not None:
            check_number("global_clipnorm", global_clipnorm, of=kind, above=0)
        check_flag("skip_nonfinite", skip_nonfinite, of=kind)
        check_flag("gradient_norms", gradient_norms, of=kind)
        require(
            isinstance(compile_update, bool) or str(compile_update) == "auto",
            f"`compile_update` of {kind} must be 'auto', True or False. "
            f"Received: compile_update={shown(compile_update)}",
        )
        super().__init__(learning_rate=learning_rate, name=name, **kept)
        self.global_clipnorm = None if global_clipnorm is None else float(global_clipnorm)
        self.skip_nonfinite = skip_nonfinite
        self.gradient_norms = gradient_norms
        self.compile_update = compile_update
        self.role_overrides = arguments.overrides(kind, roles)
        self.rate_multipliers = patterns.numbers(rate_multipliers or {}, "rate_multipliers", kind)
        self.policy_is_default = isinstance(weight_decay, str) and weight_decay == "default"
        if self.policy_is_default:
            weight_decay = self.default_policy()
        self.weight_decay = arguments.policy(kind, weight_decay)

    @quirks.as_written
    def build(self, model_or_variables):
        """Assigns roles and creates the state.

        Args:
            model_or_variables: the model, whose layer objects then determine the roles, or the list
                of its trainable variables, which is what Keras itself passes.

        Raises:
            BadInput: the user chose an adaptive policy, and no layer has both gamma and beta; or an
                argument names a role that no variable has or a pattern that matches no path.
        """
        variables = list(getattr(model_or_variables, "trainable_variables", model_or_variables))
        if self.built or not variables:  # none: Keras' loader of HDF5 files, before `fit` builds
            return
        roles = roles_of(model_or_variables, self.role_overrides)
        arguments.check_roles(self.weight_decay, self.policy_is_default, roles)
        multipliers = arguments.multipliers(self.rate_multipliers, roles)
        dtypes = [keras.backend.standardize_dtype(v.dtype) for v in variables]
        layout = Layout(roles, dtypes, self.weight_decay, multipliers)
        super().build(variables)
        self.roles, self.layout = roles, layout
        self._slot_variables = tuple(
            tuple(
                self.add_variable(block.shape, "zeros", block.compute_dtype, name=f"{slot}_{i}")
                for slot in self.slots
            )
            for i, block in enumerate(layout.blocks)
        )
        layers, count = (len(roles.pairs),), (len(roles),)
        self.bias_ratio = self.add_variable(layers, dtype="float32", name="bias_ratio")
        self.decay_on = self.add_variable(layers, dtype="bool", name="decay_on")
        self.sensitivity = self.add_variable(count, dtype="float32", name="sensitivity")
        self.trust_ratio = self.add_variable(count, "ones", "float32", name="trust_ratio")
        # "int" is the integer dtype that every backend keeps on its accelerator.
        self.decay_on_updates = self.add_variable(layers, dtype="int", name="decay_on_updates")
        self.switches = self.add_variable(layers, dtype="int", name="switches")
        self.skipped_updates = self.add_variable((), dtype="int", name="skipped_updates")
        self.skipped_in_a_row = self.add_variable((), dtype="int", name="skipped_in_a_row")
        self.learning_rate_sum = self.add_variable((), dtype="float32", name="learning_rate_sum")
        if self.gradient_norms:
            self.gradient_norm = self.add_variable(count, dtype="float32", name="gradient_norm")
        self.engine = self._make_engine()

    @quirks.as_written
    def apply(self, grads, trainable_variables=None):
        """Updates all variables from their gradients.

        Args:
            grads: list of gradients, dense or sparse; None leaves a variable as it is. In a replica
                context they are the local ones, and are summed over replicas here. What float8
                training passes as the gradient of a scale is the scale's new value.
            trainable_variables: their variables; by default those the optimizer was built with.
        """
        gradients = by_index(self, grads, trainable_variables)
        if not gradients:
            return
        overwrites = {i: gradients.pop(i) for i in self.overwritten if i in gradients}
        require(
            self.weight_decay.source == "update" or self._decided_by_probe,
            "AdaptiveBetaDecay(source='probe') has no decision to apply yet: give `fit` the "
            "callback tf_bdecay.callbacks.ProbeDecision, or call optimizer.set_decision first.",
        )
        rate = keras_private.current_learning_rate(self)
        self.engine.apply(gradients, overwrites, rate)

    def adapts(self, variable):
        """Whether a variable, given as its `VariableRole`, has a trust ratio of its own."""
        del variable
        return False

    def unit_ratios(self, block):
        """Trust ratios of a block whose variables are not adapted: a 1 for each."""
        return ops.ones((len(block.indices),), block.compute_dtype)

    @property
    def overwritten(self):
        """Indices of the variables whose gradients are their new values: the scales of float8."""
        return tuple(v.index for v in self.roles.variables if v.overwritten)

    @property
    def averages(self):
        """Pairs of a variable's index and the moving average of its weights, under `use_ema`."""
        averages = keras_private.moving_averages(self) if self.use_ema else []
        return [(i, average) for i, average in enumerate(averages) if average is not None]

    def state(self):
        """Everything that an update reads and writes, as a structure of Keras variables."""
        norms = {"gradient_norm": self.gradient_norm} if self.gradient_norms else {}
        return {
            **norms,
            "iterations": self.iterations,
            "parameters": keras_private.variables_of(self),
            "slots": self._slot_variables,
            "averages": [average for _, average in self.averages],
            "bias_ratio": self.bias_ratio,
            "decay_on": self.decay_on,
            "sensitivity": self.sensitivity,
            "trust_ratio": self.trust_ratio,
            "decay_on_updates": self.decay_on_updates,
            "switches": self.switches,
            "learning_rate_sum": self.learning_rate_sum,
            "skipped_updates": self.skipped_updates,
            "skipped_in_a_row": self.skipped_in_a_row,
        }

    def get_config(self):
        """The arguments that recreate this optimizer."""
        policy = keras.saving.serialize_keras_object(self.weight_decay)
        return {
            **super().get_config(),
            "weight_decay": "default" if self.policy_is_default else policy,
            "global_clipnorm": self.global_clipnorm,
            "skip_nonfinite": self.skip_nonfinite,
            "gradient_norms": self.gradient_norms,
            "roles": self.role_overrides,
            "rate_multipliers": self.rate_multipliers,
            "compile_update": self.compile_update,
        }

    def finalize_variable_values(self, var_list):
        """Copies each variable's moving average into the variable, which `fit` requests at its end.

        Keras finds the average by the variable's position, which changes once a layer is frozen.
        """
        if not self.use_ema or self.iterations.numpy() == 0:  # nothing has been averaged yet
            return
        averages = dict(self.averages)
        for variable, i in zip(var_list, keras_private.indices_of(self, var_list), strict=True):
            if i in averages:
                variable.assign(averages[i])

    def load_own_variables(self, store):
        """Restores the state; one with other shapes is skipped with a warning, as in Keras."""
        variables = self.variables
        if len(store.keys()) == len(variables):
            for i, variable in enumerate(variables):
                if tuple(store[str(i)].shape) != tuple(variable.shape):
                    warnings.warn(
                        f"Skipping the saved state of optimizer {self.name!r}: it was of other "
                        f"trainable variables, as {variable.path} has shape {variable.shape} and "
                        f"not {tuple(store[str(i)].shape)}.",
                        stacklevel=2,
                    )
                    return
        super().load_own_variables(store)
        # If there were updates, they had a decision to apply, and it is in the state.
        self._decided_by_probe = self._decided_by_probe or bool(self.iterations.numpy() > 0)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Refused, because the policy says what decays."""
        raise BadInput(
            "exclude_from_weight_decay has no effect here: pass a policy as weight_decay that "
            "gives these variables the coefficient 0 (see tf_bdecay.decay)."
        )

    def scalars(self, learning_rate, updates):
        """Scalars that `rule` needs for every block, computed once an update.

        Args:
            learning_rate: scalar eta, in the layout's compute dtype.
            updates: scalar t, 1 in the first update, in that dtype.

        Returns:
            Tuple of scalars, handed to `rule`.
        """
        del updates
        return (learning_rate,)

    def rule(self, block, parameter, gradient, slots, decay, scalars):
        """Applies the subclass's rule to one block of variables.

        Args:
            block: the `Block`. Besides shapes, the rule may depend on its variables only through
                `adapts` and `layout.step_sizes`, because blocks alike in these share one function.
            parameter, gradient: its tensors theta and g, after clipping.
            slots: tuple of its moments, in the order of the class's `slots`.
            decay: lambda of each of its variables, or None where all are 0.
            scalars: what `scalars` returned, in the block's compute dtype.

        Returns:
            The new parameter, tuple of new slots, and the trust ratio of each variable.
        """
        raise NotImplementedError

    def _make_engine(self):
        if keras.backend.backend() == "tensorflow":
            from tf_bdecay.optim.tensorflow_engine import Updates

            return Updates(self)
        return whole_tensors.Updates(self)


def unwrapped(optimizer):
    """The optimizer inside a loss-scaling one; any other optimizer itself."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer
