"""The keys that a config has by its five choices, and the config that has them at their defaults.

The table in `key_table` is the source of the ConfigDict that a config file starts from
(`defaults`), the checks (`checks.check`), the page of `--help`, and docs/config.md
(tools/config_page.py).
"""

from typing import NamedTuple

from ml_collections import ConfigDict, config_dict

from tf_bdecay.errors import require
from tf_bdecay.training.config import key_table
from tf_bdecay.training.config.dotted import nested


class Choice(NamedTuple):
    """A choice that a config makes by name.

    Attributes:
        path: the path of the key that names it.
        shared: dict of path to `Key`, for every name; the naming key is one of them.
        branches: dict of name to a dict like that, of the further keys with this name.
    """

    path: str
    shared: dict
    branches: dict


CHOICES = {
    "data": Choice("data.name", key_table.ANY_DATA, key_table.DATA),
    "model": Choice("model.name", key_table.ANY_MODEL, key_table.MODELS),
    "optimizer": Choice("optimizer.name", key_table.ANY_OPTIMIZER, key_table.OPTIMIZERS),
    "schedule": Choice("learning_rate.schedule", key_table.ANY_SCHEDULE, key_table.SCHEDULES),
    "policy": Choice("decay.policy", key_table.ANY_POLICY, key_table.POLICIES),
}


def table(flat):
    """The keys that a config of these data, model, optimizer, schedule and policy has.

    Args:
        flat: dict of dotted path to value.

    Returns:
        Dict of dotted path to `Key`.

    Raises:
        BadInput: one of these five names is missing or unknown.
    """
    found = dict(key_table.ALWAYS)
    for path, shared, branches in CHOICES.values():
        require(path in flat, f"The config lacks {path!r}.")
        shared[path].check(path, flat[path])
        found |= shared | branches[flat[path]]
    return found


def defaults_of(flat):
    """Dict of dotted path to default, of every key of a config, given as dict of path to value."""
    return {path: key.default for path, key in table(flat).items()}


def defaults(**chosen):
    """The ConfigDict that a config file starts from: all keys of some choices at their defaults.

    Args:
        **chosen: names for `data`, `model`, `optimizer`, `schedule`, `policy`; by default those of
            the table.

    Returns:
        A ConfigDict with a section for each part of a dotted path but the last.

    Raises:
        BadInput: an unknown name.
    """
    names = {path: shared[path].default for path, shared, _ in CHOICES.values()}
    names |= {CHOICES[what].path: name for what, name in chosen.items()}
    values = {}
    for path, key in table(names).items():
        value = names.get(path, key.default)
        values[path] = config_dict.placeholder(key.kind) if value is None else value
    return ConfigDict(nested(values))
