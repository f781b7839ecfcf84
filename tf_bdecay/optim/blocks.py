"""Blocks pack many small variables into one flat vector, so that an update takes few kernels.

The scales, shifts and biases of a network are most of its variables but few of its parameters.
Updated one by one, they cost a kernel launch for every operation on every variable; packed, one
launch serves them all. `Layout` holds the blocks of a model.

Within a vector, variables of equal size lie side by side and form a matrix, so the sum of each
variable is a row sum. The alternative, segment sums, adds atomically in no fixed order on a GPU:
it is slow, and no two runs are alike.
"""

import dataclasses
import itertools
import math

import keras
import numpy as np
from keras import ops

from tf_bdecay.decay import checked_coefficient

PACK_BELOW = 4096  # elements; a larger variable is a block by itself, in its own shape


@dataclasses.dataclass(frozen=True)
class Block:
    """Variables that are updated as one tensor.

    Attributes:
        indices: their positions among the trainable variables; in a packed block, sorted by size.
        shapes: their shapes.
        dtype: the dtype that they share.
        packed: whether they lie one after the other in a flat vector; if not, the block is one
            variable in its own shape.
    """

    indices: tuple
    shapes: tuple
    dtype: str
    packed: bool

    @property
    def shape(self):
        """Shape of the block's tensor."""
        return (sum(self.sizes),) if self.packed else self.shapes[0]

    @property
    def sizes(self):
        """Number of elements of each variable."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def compute_dtype(self):
        """Dtype of its moments and of the arithmetic: never less than float32."""
        return "float64" if self.dtype == "float64" else "float32"

    def join(self, tensors):
        """Joins one tensor per variable into the block's tensor, in the compute dtype."""
        tensors = [ops.cast(t, self.compute_dtype) for t in tensors]
        if not self.packed:
            return tensors[0]
        # There may be thousands of small variables: spend no operation on one without need.
        pairs = zip(tensors, self.shapes, strict=True)  # a graph may not know the tensor's own
        return _joined([t if len(shape) == 1 else ops.reshape(t, (-1,)) for t, shape in pairs])

    def split(self, tensor):
        """Splits the block's tensor into one tensor per variable, in the variables' shapes."""
        if not self.packed:
            return [tensor]
        return [
            part if len(shape) == 1 else ops.reshape(part, shape)
            for part, shape in zip(_cut(tensor, self.sizes), self.shapes, strict=True)
        ]

    def sums(self, tensor):
        """Sum of the elements of each variable, which must be >= 0: [number of variables]."""
        if not self.packed:
            return ops.reshape(_sum(tensor), (1,))
        parts = _cut(tensor, [number * size for number, size in self._runs])
        rows = [ops.reshape(part, run) for part, run in zip(parts, self._runs, strict=True)]
        return _joined([ops.sum(row, axis=1) for row in rows])

    def square_sums(self, tensor):
        """Sum of squares of the elements of each variable: [number of variables]."""
        return self.sums(ops.square(tensor))

    def spread(self, values):
        """Gives every element its variable's value; `values` is [number of variables]."""
        if not self.packed:
            return ops.reshape(values, ())
        return ops.take(values, np.repeat(np.arange(len(self.sizes), dtype="int32"), self.sizes))

    @property
    def _runs(self):
        """Shapes (number, size) of the matrices that variables of equal size form."""
        return [(len(list(run)), size) for size, run in itertools.groupby(self.sizes)]


def _cut(vector, lengths):
    """Cuts a vector into parts of these lengths."""
    return [vector] if len(lengths) == 1 else ops.split(vector, np.cumsum(lengths)[:-1])


def _joined(vectors):
    return vectors[0] if len(vectors) == 1 else ops.concatenate(vectors)


def _sum(tensor):
    """Sum of all elements, which must be >= 0; under TensorFlow in two stages.

    TensorFlow 2.21's XLA on CPU writes the operand of a sum over all elements to memory, and turns
    a sum of squares into a slow dot product. It fuses a short sum over a middle axis with what
    computes its operand. The abs between the stages changes nothing, but keeps XLA from merging
    them. JAX's XLA computes a plain sum in one pass.
    """
    size = math.prod(tensor.shape)
    if keras.backend.backend() == "tensorflow":
        for rows, lanes in itertools.product((8, 4), (1024, 512, 256)):
            if size and size % (rows * lanes) == 0:
                partial = ops.sum(ops.reshape(tensor, (-1, rows, lanes)), axis=1)
                return ops.sum(ops.abs(partial))
    return ops.sum(tensor)


class Layout:
    """What is fixed once the variables are known: blocks, pairs, coefficients of decay, rates.

    Args:
        roles: `Roles` of the trainable variables.
        dtypes: list of their dtype names.
        policy: a `DecayPolicy`.
        multipliers: [V] floats by which the learning rate of each variable is multiplied; None for
            1.

    Attributes:
        roles, policy: as given.
        blocks: tuple of `Block`s that together hold every variable once.
        coefficients: float64 [V], lambda of each variable while its decay is on.
        multipliers: float64 [V].
        gammas, betas: int32 [L], indices of the pairs' variables.
    """

    def __init__(self, roles, dtypes, policy, multipliers=None):
        self.roles, self.policy = roles, policy
        self.blocks = make_blocks([v.shape for v in roles.variables], dtypes)
        kind = type(policy).__name__
        self.coefficients = np.array(
            [checked_coefficient(kind, v.label, policy.coefficient(v)) for v in roles.variables],
            "float64",
        )
        multipliers = np.ones(len(roles)) if multipliers is None else multipliers
        self.multipliers = np.array(multipliers, "float64")
        self.gammas = np.array([pair.gamma for pair in roles.pairs], "int32")
        self.betas = np.array([pair.beta for pair in roles.pairs], "int32")

    @property
    def compute_dtype(self):
        """The widest compute dtype of its blocks."""
        return max((block.compute_dtype for block in self.blocks), default="float32")

    def join(self, tensors):
        """Joins one tensor per variable into one tensor per block."""
        return [block.join([tensors[i] for i in block.indices]) for block in self.blocks]

    def decay(self, block, on):
        """lambda of every variable of a block in this update.

        Args:
            block: the block.
            on: [L] booleans, the decision.

        Returns:
            Tensor [number of variables of the block], or None where no variable ever decays.
        """
        coefficients = self.coefficients[list(block.indices)]
        if not coefficients.any():
            return None
        constant = ops.cast(coefficients, block.compute_dtype)
        layer = {beta: n for n, beta in enumerate(self.betas)}
        if not self.policy.adaptive or not layer.keys() & set(block.indices):
            return constant
        always = len(layer)  # the gate of a variable that nothing switches
        gates = ops.concatenate([on, ops.ones((1,), "bool")])
        gate = ops.take(gates, np.array([layer.get(i, always) for i in block.indices], "int32"))
        return constant * ops.cast(gate, block.compute_dtype)

    def step_sizes(self, block, learning_rate, ratios=None):
        """Step size of every element of a block: eta times multiplier times trust ratio.

        Args:
            block: the block.
            learning_rate: scalar eta, in the block's compute dtype.
            ratios: [number of variables of the block], or None where all are 1.

        Returns:
            Tensor that broadcasts over the block's.
        """
        multipliers = self.multipliers[list(block.indices)]
        if (multipliers != 1).any():
            learning_rate = learning_rate * ops.cast(multipliers, block.compute_dtype)
        elif ratios is None:
            return learning_rate
        return block.spread(learning_rate if ratios is None else learning_rate * ratios)


def make_blocks(shapes, dtypes, pack_below=PACK_BELOW):
    """Cuts a list of variables into blocks.

    Args:
        shapes: list of tuples of ints.
        dtypes: list of dtype names.
        pack_below: variables of at most this many elements are packed, all of a dtype together.

    Returns:
        Tuple of `Block`s that together hold every position once.
    """
    shapes = [tuple(shape) for shape in shapes]
    small = {}
    blocks = []
    for i, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True)):
        if math.prod(shape) <= pack_below:
            small.setdefault(dtype, []).append(i)
        else:
            blocks.append(Block((i,), (shape,), dtype, packed=False))
    for dtype, indices in small.items():
        indices.sort(key=lambda i: math.prod(shapes[i]))
        blocks.append(Block(tuple(indices), tuple(shapes[i] for i in indices), dtype, packed=True))
    return tuple(blocks)


def gather_by_variable(blocks, values):
    """Sorts values that were computed block by block into the order of the variables.

    Args:
        blocks: the blocks.
        values: list of one tensor [number of its variables] for each block.

    Returns:
        Tensor [number of variables], float32.
    """
    if not blocks:
        return ops.zeros((0,), "float32")
    order = np.concatenate([block.indices for block in blocks]).astype("int32")
    joined = ops.concatenate([ops.cast(v, "float32") for v in values])
    return ops.take(joined, np.argsort(order).astype("int32"))
