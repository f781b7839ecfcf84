"""The page of mutants and the file behind it, docs/mutation.md and docs/mutation.json."""

import difflib
import json

from tf_bdecay.storage.files import write_json

KILLED, SURVIVED, NO_IMPORT = "killed", "survived", "cannot be imported"
_POLICIES, _FORMULAS = "tf_bdecay/decay/policies.py", "tf_bdecay/optim/formulas.py"
_GHOST = "tf_bdecay/layers/ghost_batch_norm.py"
_SCALES = "tf_bdecay/roles/scales.py"
_STEP = "tf_bdecay/optim/step.py"
_KINDS = "tf_bdecay/roles/kinds.py"
_ASSIGNMENT = "tf_bdecay/roles/assignment.py"
_NORMALIZE = "tf_bdecay/layers/normalize.py"
# Survivors that were looked at: (module, a part of the changed line) -> why no test can tell them.
LOOKED_AT = {
    (_POLICIES, 'variable.role <= "beta"'): "The same: no role comes before beta in the alphabet.",
    (_FORMULAS, "parameter_norm != 0"): "The same: norms are not negative.",
    (_FORMULAS, "update_norm != 0"): "The same: norms are not negative.",
    (_GHOST, 'self.partial >= "smaller"'): "The same: the other word is 'error'.",
    (_GHOST, "math.prod(positions) != 1"): "The same but for an image without a pixel.",
    (_NORMALIZE, "whole > batch"): "The same by the longer way, with an empty remainder.",
    (_NORMALIZE, "axis + 1 != len(shape)"): "The same: an axis is one of the shape's.",
    (_ASSIGNMENT, 'v.role <= "beta"'): "The same: no role comes before beta in the alphabet.",
    (_SCALES, "_LARGEST = "): "How much is worth evaluating is a matter of time alone.",
    (_SCALES, "shape[axis] is channels"): "The same: Python has each small integer once.",
    (_SCALES, 'is not "tensorflow"'): "The same: Keras' names of backends are there once.",
    (_ASSIGNMENT, "counts[paths[i]] != 1"): "The same: what is there counts at least once.",
    (_ASSIGNMENT, "strict=False"): "The same: both are equally long there.",
    (_ASSIGNMENT, "owners[group[ -1]]"): "The same: a group has one owner.",
    (_NORMALIZE, "variance[ -1]"): "The same: there is one group.",
    (_NORMALIZE, "axis - 1 < len(shape)"): "The same: one more axis, of length 1.",
    (_STEP, "decays // complete"): "The same: of truth values, where one divided by False is 0.",
    (_STEP, 'k is "gradient_norm"'): "The same: Python has that word once.",
    (_KINDS, 'role >= "kernel"'): "The same: it is kernel or bias there.",
    (
        _ASSIGNMENT,
        "overwritten: bool = True",
    ): "Whoever makes one says it, tests of policies apart.",
}


def key(mutant):
    """What a mutant is known by: its module, operator and occurrence."""
    return f"{mutant['module']}:{mutant['operator']}:{mutant['occurrence']}"


def entry(mutant, word, root):
    """What is kept of a mutant: its place, its change and what became of it."""
    before = (root / mutant["module"]).read_text().splitlines()
    changed = list(difflib.ndiff(before, mutant["source"].splitlines()))
    return {
        "target": mutant["target"],
        "module": mutant["module"],
        "line": mutant["line"],
        "was": " ".join(line[2:].strip() for line in changed if line.startswith("- ")),
        "became": " ".join(line[2:].strip() for line in changed if line.startswith("+ ")),
        "result": word,
    }


def counts(entries):
    """(killed, counted) of some entries."""
    words = [e["result"] for e in entries]
    return words.count(KILLED), len(words) - words.count(NO_IMPORT)


def read(folder):
    """Dict of key to entry of what was tried before."""
    try:
        return json.loads((folder / "mutation.json").read_text())["mutants"]
    except FileNotFoundError:
        return {}


def write(folder, kept, known):
    """Writes both files.

    Args:
        folder: of them.
        kept: dict of key to entry.
        known: how many mutants there are to draw from.
    """
    write_json(folder / "mutation.json", {"of": known, "mutants": kept})
    (folder / "mutation.md").write_text(text(list(kept.values()), known))


def text(entries, known):
    """The page as Markdown."""
    killed, counted = counts(entries)
    lines = [
        "# Do the tests notice?",
        "",
        f"Of the {known:,} mutants that cosmic-ray's operators make of the parts below, "
        f"{len(entries)} were tried, of those drawn with a fixed seed, each as likely as any "
        "other, by the quick tests of their part (`make test-mutants`). "
        f"{len(entries) - counted} cannot be imported and count for nothing. "
        f"**{killed} of {counted} are killed, {killed / max(counted, 1):.1%}.**",
        "",
        "| part | killed | of |",
        "|---|---|---|",
    ]
    for target in dict.fromkeys(e["target"] for e in entries):
        own = counts([e for e in entries if e["target"] == target])
        lines.append(f"| {target} | {own[0]} | {own[1]} |")
    lines += ["", "## Survivors", ""]
    for e in entries:
        if e["result"] == SURVIVED:
            lines.append(f"* `{e['module']}:{e['line']}`: `{e['was']}` became `{e['became']}`. ")
            lines[-1] += _reason(e) or "Not looked at."
    return "\n".join(lines) + "\n"


def _reason(e):
    for (module, part), why in LOOKED_AT.items():
        if e["module"] == module and part in e["became"]:
            return why
    return None
