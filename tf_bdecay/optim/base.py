"""What LAMB and SGD share: roles, decay by policy, the decision of each update, skipping, state.

A gradient's way: `apply` -> an engine -> `step.update`, which is the order of an update.
"""

import numbers
import warnings
from collections import Counter
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from tf_bdecay import keras_private
from tf_bdecay.errors import BadInput, check_flag, check_number, require
from tf_bdecay.optim import arguments, step, whole_tensors
from tf_bdecay.optim.blocks import Layout
from tf_bdecay.roles import roles_of


class Decision(NamedTuple):
    """What the last update measured and decided, as NumPy arrays.

    Attributes:
        layers: labels of the L paired normalization layers.
        bias_ratio: [L] float32, r_l of training.
        decay_on: [L] bool, whether the layer's beta decayed.
        labels: labels of the V trainable variables.
        sensitivity: [V] float32, C_m of each variable, m the global batch; in units of the loss.
        trust_ratio: [V] float32, 1 for a variable that is not adapted.
    """

    layers: tuple
    bias_ratio: np.ndarray
    decay_on: np.ndarray
    labels: tuple
    sensitivity: np.ndarray
    trust_ratio: np.ndarray


class DecayByRole(keras.optimizers.Optimizer):
    """Base of optimizers whose weight decay is a policy over roles.

    Args:
        learning_rate: float, schedule (called with the number of updates done) or callable.
        weight_decay: a `tf_bdecay.decay` policy, or "default".
        global_clipnorm: float, limit of the norm of all reduced gradients together; None for none.
        skip_nonfinite: whether an update whose reduced gradients are not all finite is skipped
            whole: weights, moments, decision, averages and `iterations` stay as they were. What
            Keras' LossScaleOptimizer around this one skips by itself never comes here to be
            counted; `tf_bdecay.LossScaleOptimizer` leaves it to this one.
        roles: dict of regular expression to role, for variables with names of their own.
        compile_update: "auto", True or False: whether XLA compiles the update (TensorFlow only).
        name: name of the optimizer.
        **kwargs: `use_ema`, `ema_momentum`, `ema_overwrite_frequency`, `loss_scale_factor`, as in
            every Keras optimizer.

    Raises:
        BadInput: an argument that would be silently wrong, or is out of range.
    """

    slots = ()  # names of the moments that a subclass keeps for every variable

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
        compile_update="auto",
        name=None,
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
        require(
            compile_update in ("auto", True, False),
            f"`compile_update` of {kind} must be 'auto', True or False. "
            f"Received: compile_update={compile_update!r}",
        )
        super().__init__(learning_rate=learning_rate, name=name, **kept)
        self.global_clipnorm = None if global_clipnorm is None else float(global_clipnorm)
        self.skip_nonfinite = skip_nonfinite
        self.compile_update = compile_update
        self.role_overrides = dict(roles or {})
        self.policy_is_default = isinstance(weight_decay, str) and weight_decay == "default"
        if self.policy_is_default:
            weight_decay = self.default_policy()
        self.weight_decay = arguments.policy(kind, weight_decay)
        self._decided_by_probe = False

    def build(self, model_or_variables):
        """Assigns roles and creates the state.

        Args:
            model_or_variables: the model, whose layer objects then tell the roles, or its list of
                trainable variables, as Keras itself calls it.

        Raises:
            BadInput: an adaptive policy was asked for, and no layer has both gamma and beta.
        """
        if self.built:
            return
        roles = roles_of(model_or_variables, self.role_overrides)
        arguments.check_pairs(self.weight_decay, self.policy_is_default, roles)
        variables = list(getattr(model_or_variables, "trainable_variables", model_or_variables))
        dtypes = [keras.backend.standardize_dtype(v.dtype) for v in variables]
        layout = Layout(roles, dtypes, self.weight_decay)
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
        self.engine = self._make_engine()

    def apply(self, grads, trainable_variables=None):
        """One update of all variables from their gradients.

        Args:
            grads: list of gradients, sparse ones too; None leaves a variable as it is. Local ones
                in a replica context: they are summed over replicas here. What float8 training
                passes as the gradient of a scale replaces that scale.
            trainable_variables: their variables; by default those the optimizer was built with.
        """
        gradients = self._aligned(list(grads), trainable_variables)
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

    def decision(self):
        """The `Decision` of the last update, fetched from the device."""
        require(self.built, f"{type(self).__name__} has no decision before it is built.")
        return Decision(
            layers=tuple(pair.layer for pair in self.roles.pairs),
            bias_ratio=self.bias_ratio.numpy(),
            decay_on=self.decay_on.numpy(),
            labels=tuple(v.label for v in self.roles.variables),
            sensitivity=self.sensitivity.numpy(),
            trust_ratio=self.trust_ratio.numpy(),
        )

    def totals(self):
        """What the updates so far add up to.

        Returns:
            Dict of `updates`, `skipped_updates`, `skipped_in_a_row` (ints), `learning_rate_sum`
            (float), `decay_on_updates` and `switches` ([L] ints by normalization layer).
        """
        require(self.built, f"{type(self).__name__} has no totals before it is built.")
        return {
            "updates": int(self._iterations.numpy()),
            "skipped_updates": int(self.skipped_updates.numpy()),
            "skipped_in_a_row": int(self.skipped_in_a_row.numpy()),
            "learning_rate_sum": float(self.learning_rate_sum.numpy()),
            "decay_on_updates": self.decay_on_updates.numpy(),
            "switches": self.switches.numpy(),
        }

    def decision_from(self, sensitivity):
        """r_l of every pair and whether its beta decays, by this optimizer's policy (sec. 4.2).

        Args:
            sensitivity: [V] floats, C_m of every trainable variable.

        Returns:
            NumPy arrays [L]: r_l, and booleans, as `set_decision` takes them.
        """
        require(self.built, "A decision needs the pairs: build the optimizer first.")
        c = ops.convert_to_tensor(np.asarray(sensitivity, "float32"))
        found = step.decide(self.layout, c, range(len(self.roles)))
        ratio, on = (ops.convert_to_numpy(t) for t in found)
        return ratio, on

    def set_decision(self, decay_on, bias_ratio=None):
        """Writes the decision that updates apply from now on, for `source="probe"`.

        Args:
            decay_on: [L] booleans, in the order of `roles.pairs`.
            bias_ratio: [L] floats, the r_l that led to it; left as it was if None.
        """
        require(
            self.weight_decay.source == "probe",
            f"{self.weight_decay!r} decides by itself: a decision can be set only with "
            "AdaptiveBetaDecay(source='probe').",
        )
        require(self.built, "A decision can be set only once the optimizer is built.")
        shape = (len(self.roles.pairs),)
        for value in (decay_on,) if bias_ratio is None else (decay_on, bias_ratio):
            require(
                np.shape(value) == shape,
                f"A decision has one value for each of the {shape[0]} gamma-beta pairs. "
                f"Received: shape {np.shape(value)}",
            )
        decay_on = np.asarray(decay_on, "bool")
        if self._iterations.numpy() > 0:
            self.switches.assign_add((decay_on != self.decay_on.numpy()).astype("int64"))
        self.decay_on.assign(decay_on)
        if bias_ratio is not None:
            self.bias_ratio.assign(np.asarray(bias_ratio, "float32"))
        self._decided_by_probe = True

    def get_config(self):
        """The arguments that make this optimizer again."""
        policy = keras.saving.serialize_keras_object(self.weight_decay)
        return {
            **super().get_config(),
            "weight_decay": "default" if self.policy_is_default else policy,
            "global_clipnorm": self.global_clipnorm,
            "skip_nonfinite": self.skip_nonfinite,
            "roles": self.role_overrides,
            "compile_update": self.compile_update,
        }

    def finalize_variable_values(self, var_list):
        """Copies its own moving average into each variable, as `fit` asks at its end.

        Keras does that by position, which is another once a layer is frozen.
        """
        if not self.use_ema or self._iterations.numpy() == 0:  # they are not averages yet
            return
        averages = dict(self.averages)
        for variable, i in zip(var_list, keras_private.indices_of(self, var_list), strict=True):
            if i in averages:
                variable.assign(averages[i])

    def load_own_variables(self, store):
        """Reads the state back; one of other shapes is skipped with a warning, as Keras does."""
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

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Refused: what decays is the policy's."""
        raise BadInput(
            "exclude_from_weight_decay has no effect here: pass a policy as weight_decay that "
            "gives these variables the coefficient 0 (see tf_bdecay.decay)."
        )

    def scalars(self, learning_rate, updates):
        """Scalars that the rule needs of every block, once an update.

        Args:
            learning_rate: scalar eta, in the layout's compute dtype.
            updates: scalar t, 1 in the first update, in that dtype.

        Returns:
            Tuple of scalars, handed to `rule`.
        """
        del updates
        return (learning_rate,)

    def rule(self, block, parameter, gradient, slots, decay, scalars):
        """The subclass's rule for one block of variables.

        Args:
            block: the `Block`. Of its variables only what `adapts` says may matter, beside shapes.
            parameter, gradient: its tensors theta and g, after clipping.
            slots: tuple of its tensors, as named in `slots`.
            decay: lambda of each of its variables, or None where all are 0.
            scalars: what `scalars` returned, in the block's compute dtype.

        Returns:
            The new parameter, tuple of new slots, and the trust ratio of each variable.
        """
        raise NotImplementedError

    # What the engines ask for.

    def scalars_after(self, learning_rate, updates_done):
        """`scalars` of the update after so many."""
        dtype = self.layout.compute_dtype
        return self.scalars(ops.cast(learning_rate, dtype), ops.cast(updates_done + 1, dtype))

    def filled(self, gradients, present, parameters):
        """A gradient for every variable, 0 for those without, free of `loss_scale_factor`."""
        if self.loss_scale_factor is not None:
            gradients = [g / self.loss_scale_factor for g in gradients]
        given = dict(zip(present, gradients, strict=True))
        return [given[i] if i in given else ops.zeros_like(p) for i, p in enumerate(parameters)]

    def weights_of(self, block, theta):
        """One tensor a variable of a block's new theta, in its dtype and through its constraint."""
        return [
            self.constrained(i, ops.cast(value, block.dtype))
            for i, value in zip(block.indices, block.split(theta), strict=True)
        ]

    def constrained(self, index, value):
        """A new value of variable number `index`, through the variable's own constraint."""
        constraint = self.constraint(index)
        return value if constraint is None else constraint(value)

    def constraint(self, index):
        """The constraint of variable number `index`, or None."""
        return getattr(self._trainable_variables[index], "constraint", None)

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
        return {
            "iterations": self._iterations,
            "parameters": list(self._trainable_variables),
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

    def _make_engine(self):
        if keras.backend.backend() == "tensorflow":
            from tf_bdecay.optim.tensorflow_engine import Updates

            return Updates(self)
        return whole_tensors.Updates(self)

    def _aligned(self, grads, trainable_variables):
        """Gradients by index of their variable, ascending; without those that are None."""
        if not grads:
            return {}
        if trainable_variables is None:
            require(self.built, "`apply(grads)` without variables needs a built optimizer.")
            trainable_variables = self._trainable_variables
        trainable_variables = list(trainable_variables)
        require(
            len(grads) == len(trainable_variables),
            f"`apply` needs one gradient for each of {len(trainable_variables)} variables "
            f"(None for none). Received: {len(grads)} gradients",
        )
        if not self.built:
            self.build(trainable_variables)
        pairs = keras_private.gradients_by_index(self, grads, trainable_variables)
        aligned = dict(pairs)
        twice = [i for i, count in Counter(i for i, _ in pairs).items() if count > 1]
        require(
            not twice,
            "A variable has one gradient in an update: add up those of one that is used twice. "
            f"Received twice: {', '.join(self.roles.variables[i].label for i in twice)}",
        )
        return {i: dense(aligned[i]) for i in sorted(aligned)}


def dense(gradient):
    """A gradient as a tensor; the sparse one of an embedding made dense.

    LAMB's norms need every row. TensorFlow has `IndexedSlices` and `SparseTensor`, JAX `BCOO`.
    """
    if hasattr(gradient, "dense_shape") and hasattr(gradient, "values"):
        import tensorflow as tf

        sparse = isinstance(gradient, tf.SparseTensor)
        return tf.sparse.to_dense(gradient) if sparse else tf.convert_to_tensor(gradient)
    return ops.convert_to_tensor(gradient, sparse=False)


def unwrapped(optimizer):
    """The optimizer inside a loss-scaling one; any other as it is."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer
