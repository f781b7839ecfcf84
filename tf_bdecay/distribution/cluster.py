"""The workers of one run: who they are, from TF_CONFIG or from flags. Needs no TensorFlow."""

import dataclasses
import errno
import json
import os
import re
import socket

from tf_bdecay.errors import BadInput, require

STRATEGIES = ("none", "one_device", "mirrored", "multi_worker", "tpu", "auto")
VARIABLE = "TF_CONFIG"
_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All workers of a run, and which of them this process is.

    Attributes:
        addresses: "host:port" of each; the first is the leader, the only one that writes files.
        index: position of this process among them.
    """

    addresses: tuple
    index: int

    @property
    def leads(self):
        """Whether this process is the leader."""
        return self.index == 0

    def name(self, index):
        """The name of a worker in messages."""
        return f"worker {index} ({self.addresses[index]})"

    def bind(self):
        """Binds this worker's port on all interfaces, IPv4 and IPv6, so that nobody else takes it.

        Returns:
            A bound socket that does not listen yet.

        Raises:
            BadInput: the port is taken, or not allowed, or the address is IPv6 and none is there.
        """
        host, port = split(self.addresses[self.index])
        both = socket.has_dualstack_ipv6()
        require(
            both or ":" not in host,
            f"{self.name(self.index)} has an IPv6 address, which this machine does not speak: give "
            "all workers names or IPv4 addresses.",
        )
        bound = socket.socket(socket.AF_INET6 if both else socket.AF_INET, socket.SOCK_STREAM)
        if both:  # a name may stand for either
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a run that just ended
        try:
            bound.bind(("", port))
        except OSError as error:
            bound.close()
            why = "is taken" if error.errno == errno.EADDRINUSE else f"fails ({error.strerror})"
            raise BadInput(
                f"The port of {self.name(self.index)} {why}: end what uses it, or give this "
                "worker another port, the same one for every worker's TF_CONFIG or --workers."
            ) from error
        return bound


def split(address):
    """The host and port of "host:port"; IPv6 hosts stand in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def from_flags(workers, index):
    """The `Cluster` of --workers and --worker_index, both as they were given.

    Args:
        workers: comma-separated addresses, "" for none.
        index: this process's place among them, or None.

    Returns:
        A `Cluster`, or None if neither was given.

    Raises:
        BadInput: one is given without the other, or the values are not possible.
    """
    if not workers:
        require(index is None, f"--worker_index={index} needs --workers=HOST:PORT,HOST:PORT.")
        return None
    addresses = [part.strip() for part in workers.split(",")]
    require(
        index is not None,
        f"--workers={workers} needs --worker_index=0 to {len(addresses) - 1}: which of them this "
        "process is.",
    )
    return _checked(addresses, index, "--workers", "--worker_index")


def from_environment(text):
    """The `Cluster` that TF_CONFIG's text describes.

    Raises:
        BadInput: it is not JSON, or does not describe a cluster of workers.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{VARIABLE} is not JSON ({error}): write it like {_EXAMPLE}.") from error
    jobs = value.get("cluster") if isinstance(value, dict) else None
    require(
        isinstance(jobs, dict) and any(jobs.values()),
        f"{VARIABLE} has no cluster: write it like {_EXAMPLE}. Received: {text}",
    )
    others = [job for job in jobs if job not in ("chief", "worker")]
    require(
        not others,
        f"{VARIABLE} has the job {', '.join(map(repr, others))}, and a run has workers only (one "
        "of them may be the chief).",
    )
    for job, list_ in jobs.items():
        require(
            isinstance(list_, list) and all(isinstance(a, str) for a in list_),
            f'{VARIABLE}: the cluster\'s {job!r} must be a list of "host:port". '
            f"Received: {list_!r}",
        )
    chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
    require(len(chiefs) <= 1, f"{VARIABLE} has {len(chiefs)} chiefs, and one is the most.")
    task = value.get("task")
    task = task if isinstance(task, dict) else {}
    kind, index = task.get("type", ""), task.get("index")
    require(
        kind in jobs,
        f"{VARIABLE}: the task's type must be {' or '.join(repr(job) for job in jobs)}, as the "
        f"cluster has them. Received: {kind!r}",
    )
    require(
        _is_index(index) and 0 <= index < len(jobs[kind]),
        f"{VARIABLE}: the task's index is out of range: it must be a whole number from 0 to "
        f"{len(jobs[kind]) - 1}, as the cluster has {len(jobs[kind])} of type {kind!r}. Received: "
        f"{index!r}",
    )
    place = index + (len(chiefs) if kind == "worker" else 0)
    return _checked([*chiefs, *workers], place, VARIABLE, f"{VARIABLE}'s task")


def find(strategy, workers="", index=None):
    """The `Cluster` that this process belongs to; sets TF_CONFIG if flags describe it.

    Args:
        strategy: name of the strategy that was asked for.
        workers, index: the flags --workers and --worker_index.

    Returns:
        A `Cluster`, or None for a run of one process.

    Raises:
        BadInput: the cluster is described twice or wrongly, or is needed and not described.
    """
    by_flags = from_flags(workers, index)
    text = os.environ.get(VARIABLE, "")
    require(
        by_flags is None or not text,
        f"--workers and the environment's {VARIABLE} say the same thing: give one of them.",
    )
    if strategy not in ("multi_worker", "auto"):
        require(by_flags is None, f"--workers={workers} needs --strategy=multi_worker.")
        return None
    if by_flags:
        os.environ[VARIABLE] = json.dumps(config(by_flags.addresses, by_flags.index))
        return by_flags
    if text:
        return from_environment(text)
    require(
        strategy == "auto",
        f"--strategy=multi_worker needs to know its workers: set {VARIABLE}, give "
        "--workers=HOST:PORT,HOST:PORT with --worker_index=0, or use tools/launch.py.",
    )
    return None


def config(addresses, index):
    """The value of TF_CONFIG for one worker: a dict, from all addresses and the worker's index."""
    return {
        "cluster": {"worker": list(addresses)},
        "task": {"type": "worker", "index": index},
    }


def _checked(addresses, index, flag, index_flag):
    for address in addresses:
        good = re.fullmatch(r"[^\s:]+:(\d+)|\[[^\s\]]+\]:(\d+)", address)
        port = int(next(group for group in good.groups() if group)) if good else 0
        require(
            0 < port < 65536,
            f"{flag} must have host:port for each worker, with a port from 1 to 65535. "
            f"Received: {address!r}",
        )
    twice = [a for a in addresses if addresses.count(a) > 1]
    require(not twice, f"{flag} names the address {twice[0] if twice else ''} twice.")
    require(
        0 <= index < len(addresses),
        f"{index_flag} must be from 0 to {len(addresses) - 1}, as there are {len(addresses)} "
        f"workers. Received: {index}",
    )
    return Cluster(tuple(addresses), index)


def _is_index(value):
    return isinstance(value, int) and not isinstance(value, bool)
