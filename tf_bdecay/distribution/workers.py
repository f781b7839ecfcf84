"""How many workers start and end: together and alike, or with a sentence; no process hangs.

Before TensorFlow takes the ports, the workers have a rendezvous at the leader's port: each sends
what a run depends on, and the leader answers when all are there. Only then is the strategy made,
which by itself would wait forever. Needs no TensorFlow.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import socket
import struct
import sys
import threading
import time

from tf_bdecay.distribution import cluster as clusters
from tf_bdecay.errors import BadInput
from tf_bdecay.storage.files import versions

LOST = 4  # exit code of a worker that has lost another
START_SECONDS = 300.0
_GREETING = "tf_bdecay"
_PROBE_SECONDS = 2.0
_PEER_ERRORS = (  # TensorFlow's, when a peer is gone
    "UnavailableError",
    "DeadlineExceededError",
    "AbortedError",
    "CancelledError",
    "InternalError",
    "UnknownError",
)
_LARGEST = 1 << 20  # bytes of a message: a stranger may be talking to the port


class WorkerLost(Exception):
    """A worker is lost, or never came; the message is a sentence for the user."""


def facts(config, **more):
    """What all workers of a run must have in common before TensorFlow connects them.

    Args:
        config: dict of dotted path to value.
        **more: other values by name.

    Returns:
        Dict of a name in words to a JSON value.
    """
    found = {f"config.{path}": repr(value) for path, value in config.items()}
    found.update({f"version of {name}": value for name, value in versions().items()})
    return {**found, **{name: repr(value) for name, value in more.items()}}


def rendezvous(cluster, listener, mine, seconds=START_SECONDS):
    """Waits for all workers, and compares what they must have in common.

    Args:
        cluster: the `Cluster`.
        listener: from `cluster.bind()`; closed when this returns.
        mine: from `facts`.
        seconds: how long to wait.

    Raises:
        BadInput: the workers differ; every worker gets the same sentence.
        WorkerLost: not all came in time; the sentence names who is missing.
    """
    deadline = time.monotonic() + seconds
    with listener:
        if cluster.leads:
            _lead(cluster, listener, mine, deadline, seconds)
        else:
            _follow(cluster, mine, deadline, seconds)


def _lead(cluster, listener, mine, deadline, seconds):
    listener.listen(len(cluster.addresses) + 8)
    theirs, connections = {0: mine}, {}
    try:
        while len(theirs) < len(cluster.addresses):
            listener.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                break
            index, found = _greeted(connection, cluster)
            if index is None or index in connections:
                connection.close()
                continue
            theirs[index], connections[index] = found, connection
        sentence, kind = None, None
        missing = [i for i in range(len(cluster.addresses)) if i not in theirs]
        if missing:
            sentence, kind = _missing(cluster, missing, seconds), "lost"
        else:
            sentence = difference(cluster, theirs)
            kind = "differ" if sentence else None
        for connection in connections.values():
            with contextlib.suppress(OSError):
                _send(connection, {"sentence": sentence, "kind": kind})
        for connection in connections.values():
            # They hang up first: whoever does keeps a port busy, and TensorFlow needs ours next.
            with contextlib.suppress(OSError):
                connection.settimeout(5)
                connection.recv(1)
    finally:
        for connection in connections.values():
            connection.close()
    _raise(sentence, kind)


def _follow(cluster, mine, deadline, seconds):
    greeting = {"from": _GREETING, "index": cluster.index, "facts": mine}
    address = clusters.split(cluster.addresses[0])
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(address, timeout=min(left, 5.0)) as connection:
                _send(connection, greeting)
                # The leader's time ends with ours; wait for its answer, which says who is missing.
                connection.settimeout(max(deadline - time.monotonic(), 0) + 10)
                answer = _receive(connection)
        except (OSError, ValueError):
            time.sleep(min(0.2, max(left, 0)))
            continue
        _raise(answer.get("sentence"), answer.get("kind"))
        return
    raise WorkerLost(_missing(cluster, [0], seconds))


def _greeted(connection, cluster):
    """The caller's index and facts; (None, None) for a stranger."""
    try:
        connection.settimeout(5)
        greeting = _receive(connection)
        index = greeting["index"]
        if greeting["from"] == _GREETING and index in range(1, len(cluster.addresses)):
            return index, dict(greeting["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None, None


def _missing(cluster, missing, seconds):
    names = " and ".join(map(cluster.name, missing))
    return (
        f"{names} did not come within {seconds:g} s (--start_timeout): start all "
        f"{len(cluster.addresses)} workers, and see that they reach each other."
    )


def difference(cluster, theirs):
    """A sentence about the first thing in which a worker differs from the leader, or None.

    Args:
        cluster: the `Cluster`.
        theirs: dict of index to facts.
    """
    leader = theirs[0]
    for index in sorted(theirs):
        for name in (*leader, *theirs[index]):
            ours, other = (f.get(name, "not there") for f in (leader, theirs[index]))
            if ours != other:
                return (
                    f"{cluster.name(index)[0].upper()}{cluster.name(index)[1:]} differs from "
                    f"{cluster.name(0)}: {name} is {other} there and {ours} here; all workers "
                    "need the same config, data and versions."
                )
    return None


def _raise(sentence, kind):
    if sentence:
        raise (BadInput if kind == "differ" else WorkerLost)(sentence)


def _send(connection, value):
    content = json.dumps(value).encode()
    connection.sendall(struct.pack("!I", len(content)) + content)


def _receive(connection):
    (size,) = struct.unpack("!I", _exactly(connection, 4))
    if size > _LARGEST:
        raise ValueError("not a message of ours")
    value = json.loads(_exactly(connection, size))
    if not isinstance(value, dict):
        raise ValueError("not a message of ours")
    return value


def _exactly(connection, size):
    content = b""
    while len(content) < size:
        more = connection.recv(size - len(content))
        if not more:
            raise ConnectionError("hung up")
        content += more
    return content


@contextlib.contextmanager
def time_limit(seconds, sentence):
    """Ends the process with code 4 if the body takes longer, even inside TensorFlow's C++.

    Args:
        seconds: how long the body may take.
        sentence: what to say if it takes longer.
    """

    stderr = os.dup(2)  # the body may silence TensorFlow's C++

    def give_up():
        with contextlib.suppress(OSError):
            os.write(stderr, f"{sentence}\n".encode(errors="backslashreplace"))
        end(LOST)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        os.close(stderr)


@contextlib.contextmanager
def peer_errors(cluster):
    """Turns TensorFlow's errors about a peer that is gone into `WorkerLost`.

    Args:
        cluster: the `Cluster`, or None for a run of one process.
    """
    try:
        yield
    except Exception as error:
        if cluster is None or type(error).__name__ not in _PEER_ERRORS:
            raise
        sentence = who_is_lost(cluster, str(error))
        time.sleep(_PROBE_SECONDS)  # the others are looking who answers
        raise WorkerLost(sentence) from error


def who_is_lost(cluster, message):
    """A sentence on which worker is lost, as far as that is known.

    Args:
        cluster: the `Cluster`.
        message: of TensorFlow's error.
    """
    others = [i for i in range(len(cluster.addresses)) if i != cluster.index]
    with concurrent.futures.ThreadPoolExecutor(min(len(others), 64) or 1) as pool:
        alive = list(pool.map(lambda i: _answers(cluster.addresses[i]), others))
    silent = [i for i, answers in zip(others, alive, strict=True) if not answers]
    if silent:
        names = " and ".join(map(cluster.name, silent))
        return f"{names} can no longer be reached."
    # A worker that is stopped, or whose network is slow, still has its port.
    named = sorted({int(i) for i in re.findall(r"task:(\d+)", message)} & set(others))
    names = " and ".join(map(cluster.name, named or others))
    return f"{names} no longer answered in time" + (
        ", or one of them." if len(named or others) > 1 else "."
    )


def _answers(address):
    try:
        with socket.create_connection(clusters.split(address), timeout=_PROBE_SECONDS):
            return True
    except OSError:
        return False


def end(code):
    """Ends the process now: without a peer, TensorFlow's exit handlers can wait forever."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
