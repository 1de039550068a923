"""Start a flow run in the fork server; the worker's command for every run.

Run as a file with `python -I -S`, so it imports the standard library only and starts in some 30 ms. It hands its
environment, directory and standard streams to the fork server (`infraflux.service.forkserver`), which forks a process
that has Prefect imported already. Signals are passed on; the exit status is passed back, a death by signal included.
Where no fork server answers, the ordinary `python -m prefect.engine` runs in this very process: slower by some seconds,
otherwise the same.

When this process dies, whatever the reason, the fork server terminates the run. When the worker dies, the kernel
terminates this process. So no run outlives its worker.
"""

import array
import ctypes
import json
import os
import signal
import socket
import struct
import sys

PR_SET_PDEATHSIG = 1
HEADER = struct.Struct("!I")
REPLY = struct.Struct("!i")


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies (prctl(2)); only Linux has it."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def run_without_forkserver(argv: list[str]) -> None:
    """Become the ordinary engine."""
    os.execv(sys.executable, [sys.executable, "-m", "prefect.engine", *argv])  # noqa: S606 - argv is ours


def request(argv: list[str]) -> bytes:
    body = json.dumps({"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)}).encode()  # noqa: PTH109 - pathlib costs start time
    return HEADER.pack(len(body)) + body


def connect(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def send(connection: socket.socket, body: bytes) -> None:
    """The request, with standard input, output and error attached (SCM_RIGHTS, unix(7))."""
    streams = array.array("i", [0, 1, 2])
    sent = connection.sendmsg([body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(body[sent:])


def wait(connection: socket.socket) -> int:
    """Pass signals on until the exit status comes; a fork server that went away counts as killed."""

    def forward(number: int, _frame: object) -> None:
        try:
            connection.sendall(bytes([number]))
        except OSError:
            sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    reply = b""
    while len(reply) < REPLY.size:
        part = connection.recv(REPLY.size - len(reply))
        if not part:
            return -signal.SIGKILL
        reply += part
    return int(REPLY.unpack(reply)[0])


def leave(status: int) -> None:
    """Exit as the run did, so that the worker sees the same death."""
    if status >= 0:
        os._exit(status)
    signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
    os.kill(os.getpid(), -status)


def main() -> None:
    die_with_parent()
    argv = sys.argv[2:]
    connection = connect(sys.argv[1])
    if connection is None:
        run_without_forkserver(argv)
        return
    send(connection, request(argv))
    leave(wait(connection))


if __name__ == "__main__":
    main()
