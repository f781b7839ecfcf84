"""Writes the page of mutants, docs/mutation.md, and its data, docs/mutation.json."""

import difflib
import hashlib
import json

from tf_bdecay.storage.files import write_json

KILLED, SURVIVED, NO_IMPORT = "killed", "survived", "cannot be imported"
_POLICIES, _FORMULAS = "tf_bdecay/decay/policies.py", "tf_bdecay/optim/formulas.py"
_GHOST = "tf_bdecay/layers/ghost_batch_norm.py"
_SCALES = "tf_bdecay/roles/scales.py"
_STEP = "tf_bdecay/optim/step.py"
_KINDS = "tf_bdecay/roles/kinds.py"
_ASSIGNMENT = "tf_bdecay/roles/assignment.py"
_VARIABLE_ROLE = "tf_bdecay/roles/variable_role.py"
_NORMALIZE = "tf_bdecay/layers/normalize.py"
# Survivors that were examined: (module, a part of the changed line) -> why they survived.
LOOKED_AT = {
    (_POLICIES, 'variable.role <= "beta"'): "Equivalent: no role sorts before beta.",
    (_FORMULAS, "parameter_norm != 0"): "Equivalent: a norm is never negative.",
    (_FORMULAS, "update_norm != 0"): "Equivalent: a norm is never negative.",
    (_GHOST, 'self.partial >= "smaller"'): "Equivalent: 'error', the other value, sorts first.",
    (_GHOST, "math.prod(positions) != 1"): "Equivalent except for an image without pixels.",
    (_NORMALIZE, "whole > batch"): "Equivalent: the general path handles an empty remainder.",
    (_NORMALIZE, "axis + 1 != len(shape)"): "Equivalent: axis + 1 is at most the length.",
    (_VARIABLE_ROLE, 'v.role <= "beta"'): "Equivalent: no role sorts before beta.",
    (_SCALES, "_LARGEST = "): "The limit is a choice: a larger one only costs time.",
    (_SCALES, "shape[axis] is channels"): "Equivalent up to 256: CPython caches these integers.",
    (_SCALES, 'is not "tensorflow"'): (
        "Differs only inside a graph that TensorFlow traces; today's tests of this part kill it."
    ),
    (_ASSIGNMENT, "counts[paths[i]] != 1"): "Equivalent: every path here is counted at least once.",
    (_ASSIGNMENT, "strict=False"): "Equivalent: both lists have the same length here.",
    (_ASSIGNMENT, "owners[group[ -1]]"): "Equivalent: a group's variables have one owner.",
    (_NORMALIZE, "variance[ -1]"): "Equivalent: there is only one group here.",
    (_NORMALIZE, "axis - 1 < len(shape)"): "Equivalent: it only adds an axis of length 1.",
    (_STEP, "decays // complete"): "Equivalent for truth values: division by False gives 0.",
    (_STEP, 'k is "gradient_norm"'): "Equivalent: CPython has this constant string once.",
    (_KINDS, 'role >= "kernel"'): "Equivalent: the role is kernel or bias here.",
    (_VARIABLE_ROLE, "overwritten: bool = True"): (
        "Equivalent in the package, which always sets it; only tests of policies use the default."
    ),
}


def key(mutant):
    """The key that identifies a mutant: its place, and a hash of its module with the change."""
    code = hashlib.sha256(mutant["source"].encode()).hexdigest()[:12]
    return f"{mutant['module']}:{mutant['operator']}:{mutant['occurrence']}:{code}"


def entry(mutant, word, root):
    """The entry that is kept of a mutant: its place, its change and its result."""
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
    """How many entries are killed, and how many count: (killed, counted)."""
    words = [e["result"] for e in entries]
    return words.count(KILLED), len(words) - words.count(NO_IMPORT)


def read(folder):
    """The mutants that were tried before, as a dict of key to entry."""
    try:
        return json.loads((folder / "mutation.json").read_text())["mutants"]
    except FileNotFoundError:
        return {}


def write(folder, kept, known, commit):
    """Writes the page and its data.

    Args:
        folder: where both files go.
        kept: dict of key to entry.
        known: how many mutants there were to draw from.
        commit: the hash of the commit whose mutants they are, or None.
    """
    write_json(folder / "mutation.json", {"of": known, "commit": commit, "mutants": kept})
    (folder / "mutation.md").write_text(text(list(kept.values()), known, commit))


def text(entries, known, commit):
    """The page as Markdown."""
    killed, counted = counts(entries)
    at = f", at commit {commit[:7]}" if commit else ""
    lines = [
        "# Do the tests notice mistakes?",
        "",
        "A mutant is a copy of the code with one operator, number or condition changed. It is "
        "killed if a test fails on it, or does not end. cosmic-ray's operators make "
        f"{known:,} mutants of the parts below{at}. {len(entries)} of them, drawn at random with a "
        "fixed seed, were tried with the quick tests of their part (`make test-mutants`). "
        f"{len(entries) - counted} cannot be imported and are not counted. "
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
            lines.append(f"* `{e['module']}`: `{e['was']}` became `{e['became']}`. ")
            lines[-1] += _reason(e) or "Not examined yet."
    return "\n".join(lines) + "\n"


def _reason(e):
    for (module, part), why in LOOKED_AT.items():
        if e["module"] == module and part in e["became"]:
            return why
    return None
