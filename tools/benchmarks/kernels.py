"""Counts the operations of an update, in TensorFlow's graph and in the code that XLA compiles."""

import re

# Operations that do no work of their own.
_NOTHING = {"Const", "Placeholder", "NoOp", "Identity", "IdentityN", "ReadVariableOp"}
_HLO_NOTHING = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}


def count(update):
    """Counts the operations of a traced update.

    Args:
        update: a traced `tf.function` without arguments.

    Returns:
        Dict of the kind of operation to its count.
    """
    if update._jit_compile:
        return {
            "XLA kernels": instructions(
                update.experimental_get_compiler_ir()(stage="optimized_hlo")
            )
        }
    operations = _operations(update.get_concrete_function().graph)
    compiled = sum(kind == "XLA" for kind in operations)
    return {"graph ops": len(operations), **({"of them XLA calls": compiled} if compiled else {})}


def _operations(graph):
    """Types of all operations of a graph and of those it calls; an XLA call counts as one."""
    found = []
    for operation in graph.get_operations():
        if operation.type in _NOTHING:
            continue
        attribute = {
            "PartitionedCall": "f",
            "StatefulPartitionedCall": "f",
            "If": "then_branch",  # the branch of an update that is not skipped
            "StatelessIf": "then_branch",
        }.get(operation.type)
        if attribute is None:
            found.append(operation.type)
            continue
        called = graph._get_function(operation.get_attr(attribute).name)
        if called.cached_definition.attr["_XlaMustCompile"].b:
            found.append("XLA")
        else:
            found += _operations(called.graph)
    return found


def instructions(text):
    """Counts the instructions of optimized HLO that run by themselves, each as one kernel.

    What a fusion, a reduction or a scatter calls is part of that instruction and not counted.
    """
    parts = set(re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", text))
    kernels = 0
    for computation in re.split(r"\n}\n", text):
        name = re.search(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$", computation, re.MULTILINE)
        if name is None or name[1] in parts:
            continue
        # The result's type is a word, or a tuple of types in parentheses.
        found = re.findall(r"^ .*? = (?:\(.*?\)|\S+) ([a-z\-]+)\(", computation, re.MULTILINE)
        kernels += sum(kind not in _HLO_NOTHING for kind in found)
    return kernels
