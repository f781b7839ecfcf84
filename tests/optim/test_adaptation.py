"""Which variables have a trust ratio under LAMB and LARS."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend
DECAYED = decay.AdaptiveBetaDecay(kernel=0.01, bias=0.0)  # gamma and bias never do


@pytest.mark.parametrize("cls", [tf_bdecay.Lamb, tf_bdecay.Lars])
@pytest.mark.parametrize(
    ("adaptation", "leaves"),
    [
        ("kernels", ("kernel",)),
        ("all", ("kernel", "bias", "gamma", "beta")),
        ("decayed", ("kernel", "beta")),
    ],
)
def test_which_variables_are_adapted(cls, adaptation, leaves):
    optimizer = cls(0.1, DECAYED, adaptation, compile_update=False)
    optimizer.build(problem.make_variables(problem.initial()))
    adapted = [optimizer.adapts(v) for v in optimizer.roles.variables]
    assert adapted == [name.endswith(leaves) for name in problem.SHAPES]
    ones = np.ones(len(adapted))
    for block in optimizer.layout.blocks:  # packed ones hold both kinds
        twos = keras.ops.full((len(block.indices),), 2.0)
        ones[list(block.indices)] = optimizer.trust_ratios(block, lambda twos=twos: twos)
    np.testing.assert_array_equal(ones, np.where(adapted, 2.0, 1.0))
    assert optimizer.get_config()["layer_adaptation"] == adaptation


@pytest.mark.parametrize("cls", [tf_bdecay.Lamb, tf_bdecay.Lars])
def test_an_unknown_adaptation_names_the_nearest(cls):
    with pytest.raises(BadInput, match=f"of {cls.__name__} 'al': did you mean 'all'"):
        cls(layer_adaptation="al")
