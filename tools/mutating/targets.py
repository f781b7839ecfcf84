"""The parts of the package that are mutated, and the tests that should notice."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Target:
    """A part of the package and its tests.

    Attributes:
        name: the part's name.
        modules: paths of its files, relative to the repository's root.
        tests: paths of its test files, with the quick ones that are likely to notice first.
    """

    name: str
    modules: tuple
    tests: tuple


def _under(folder, *names):
    return tuple(f"{folder}/{name}.py" for name in names)


_OPTIMIZERS = ("test_formulas", "test_lamb", "test_sgd", "test_lars", "test_adamw")
TARGETS = (
    Target("sensitivity", ("tf_bdecay/sensitivity.py",), ("tests/test_sensitivity.py",)),
    Target(
        "roles",
        _under("tf_bdecay/roles", "assignment", "kinds", "owners", "scales", "variable_role"),
        _under(
            "tests/roles",
            "test_kinds",
            "test_owners",
            "test_scales",
            "test_assignment",
            "test_variable_role",
        ),
    ),
    Target(
        "decay",
        _under("tf_bdecay/decay", "policies", "by_path"),
        (
            *_under("tests/decay", "test_policies", "test_by_path"),
            *_under("tests/optim", "test_lamb", "test_arguments"),
        ),
    ),
    Target("formulas", ("tf_bdecay/optim/formulas.py",), _under("tests/optim", *_OPTIMIZERS)),
    Target(
        "step",
        ("tf_bdecay/optim/step.py",),
        _under("tests/optim", "test_step", "test_decision", "test_lamb", "test_properties"),
    ),
    Target(
        "ghost batch norm",
        _under("tf_bdecay/layers", "ghost_batch_norm", "normalize"),
        _under(
            "tests/layers",
            "test_normalize",
            "test_ghost_batch_norm",
            "test_ghost_batch_norm_tensorflow",
            "test_neighbours",
        ),
    ),
)
