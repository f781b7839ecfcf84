"""Writes docs/config.md, the page of all keys, from the table in training/config/key_table.py."""

import pathlib

from tf_bdecay.training.config import key_table, keys

PATH = pathlib.Path(__file__).resolve().parents[1] / "docs" / "config.md"
_TEXT = """\
# The keys of a config

`--config.KEY=VALUE` sets a key; this page lists all keys with their defaults. A key whose default
is `unset` can be set back to it, as in `--config.learning_rate.peak=unset`. A key that has no
effect, because of the value of another, is refused on the command line. This page is made from the
table in `tf_bdecay/training/config/key_table.py` by `python tools/config_page.py`.

| key | default | allowed values | meaning | in the paper or [method.md](method.md) | applies to |
|---|---|---|---|---|---|
{rows}
"""


def page():
    """The page: every key with its default, values, meaning, source and the choices it is for."""
    rows = [(path, "", key) for path, key in key_table.ALWAYS.items()]
    for chooser, shared, branches in keys.CHOICES.values():
        rows += [(path, "", key) for path, key in shared.items()]
        found = {}  # a key that is the same for several choices gets one row
        for name, branch in branches.items():
            for path, key in branch.items():
                same = [k for (p, _), (k, _) in found.items() if p == path and _alike(k, key)]
                of = found.setdefault((path, id(same[0] if same else key)), (key, []))
                of[1].append(name)
        for (path, _), (key, names) in found.items():
            rows.append((path, f"{chooser}: {', '.join(names)}", key))
    return _TEXT.format(rows="\n".join(_row(*row) for row in rows))


def _alike(one, other):
    return (one.default, one.doc, one.right) == (other.default, other.doc, other.right)


def _row(path, where, key):
    default = "unset" if key.default is None else f"`{key.default}`" if key.default != "" else ""
    cells = (f"`{path}`", default, key.right, key.doc, key.paper, where)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


if __name__ == "__main__":
    PATH.write_text(page())
