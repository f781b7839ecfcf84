"""Draws mutants of the package by cosmic-ray's operators, in an environment with cosmic-ray.

    .venv-mutants/bin/python -m tools.mutating.draw COUNT SEED OUT.json

Every mutant that its operators can make is equally likely.
"""

import json
import pathlib
import random
import sys

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tools.mutating.targets import TARGETS

ROOT = pathlib.Path(__file__).resolve().parents[2]


def places(source):
    """List of (operator's name, occurrence, line) for every mutant of a source."""
    tree, found = get_ast(source), []
    for name in sorted(plugins.operator_names()):
        kind = plugins.get_operator(name)
        if kind.arguments():  # cannot be applied without arguments, such as names
            continue
        operator, occurrence = kind(), 0
        for node in ast_nodes(tree):
            for start, _ in operator.mutation_positions(node):
                found.append((name, occurrence, start[0]))
                occurrence += 1
    return found


def main(count, seed, out):
    """Writes the drawn mutants: dicts of target, module, line, operator, occurrence and source."""
    sources = {m: (ROOT / m).read_text() for target in TARGETS for m in target.modules}
    known = [
        (target.name, module, *place)
        for target in TARGETS
        for module in target.modules
        for place in places(sources[module])
    ]
    chosen = sorted(random.Random(seed).sample(known, min(count, len(known))))
    made = []
    for target, module, operator, occurrence, line in chosen:
        source = mutate_code(sources[module], plugins.get_operator(operator)(), occurrence)
        if source is not None:
            made.append(
                {
                    "target": target,
                    "module": module,
                    "line": line,
                    "operator": operator,
                    "occurrence": occurrence,
                    "source": source,
                }
            )
    pathlib.Path(out).write_text(json.dumps({"of": len(known), "mutants": made}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
