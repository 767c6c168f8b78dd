"""Start the project's commands as a shell does; most are forks of a process that has imported.

Imports are most of a short run's time: 5 to 15 s, nearly all torch's and Lightning's. A *warm*
process has done them, and nothing else. A command is a fork of it, with streams, a folder,
arguments, a session and an exit status of its own, and a child of the test. It is a fresh
interpreter where another environment or anything else is asked for that the fork would not have,
and with ``fresh=True``.
"""

import atexit
import ctypes
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT_DIR = Path(__file__).parents[1]
_SET_CHILD_SUBREAPER = 36  # prctl: an orphan below becomes this process's child
_MOST_BYTES = 1 << 16
WARM = [sys.executable, __file__]
_ASIDE = ("PYTEST_", "KMP_")  # of pytest, and what scikit-learn sets when it is imported
_FORKED = {"cwd", "stdin", "stdout", "stderr", "text", "start_new_session"}


def start(*words: str, fresh: bool = False, **settings: Any) -> subprocess.Popen[Any]:
    """Start ``python words``, as ``train.py model=cnn`` or ``-m stnlab.report results``."""
    script, *arguments = words
    if script.endswith(".py"):
        script = str(PROJECT_DIR / script)
    command = [sys.executable, script, *arguments]
    if fresh or not sys.platform.startswith("linux") or not settings.keys() <= _FORKED:
        return subprocess.Popen(command, **settings)
    warm = _Warm.of_this_process()
    return (_Forked if warm.fits() else subprocess.Popen)(command, **settings)


def run(*words: str, fresh: bool = False, **settings: Any) -> subprocess.CompletedProcess[Any]:
    """Start a command and wait for its end."""
    with start(*words, fresh=fresh, **settings) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class _Warm:
    """The process that commands are forks of."""

    _ours: "_Warm | None" = None

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.environment = _environment()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [*WARM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        atexit.register(self.end)

    @classmethod
    def of_this_process(cls) -> "_Warm":
        if cls._ours is None or cls._ours.process.poll() is not None:
            cls._ours = cls()
        return cls._ours

    def fits(self) -> bool:
        return _environment() == self.environment

    def fork(self, request: dict[str, Any], streams: list[int]) -> int:
        message = json.dumps(request).encode()
        if len(message) > _MOST_BYTES:
            raise ValueError("a command line of over 64 KiB")
        socket.send_fds(self.socket, [message], streams)
        answer = self.socket.recv(_MOST_BYTES)
        if not answer:
            raise RuntimeError("the warm process has ended")
        return int(answer)

    def end(self) -> None:
        self.socket.close()
        self.process.wait()


class _Forked(subprocess.Popen[Any]):
    """A process that the warm one forks for us."""

    def _execute_child(self, *arguments: Any) -> None:
        of = inspect.signature(subprocess.Popen._execute_child).bind(self, *arguments).arguments
        ends = ["p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"]
        theirs = [of["p2cread"], of["c2pwrite"], of["errwrite"]]
        request = {
            "words": of["args"][1:],
            "cwd": os.fspath(of["cwd"] or Path.cwd()),
            "own_session": of["start_new_session"],
        }
        streams = [number if end == -1 else end for number, end in enumerate(theirs)]
        try:
            self.pid = _Warm.of_this_process().fork(request, streams)
            self._child_created = True
        finally:
            self._close_pipe_fds(*(of[end] for end in ends))


def _environment() -> dict[str, str]:
    """What a command would see that makes a difference to it."""
    return {
        name: value for name, value in os.environ.items() if value and not name.startswith(_ASIDE)
    }


# --- the warm process


def _serve(ours: socket.socket) -> dict[str, Any]:
    """Fork a process for each request; returns the request in each of them."""
    while True:
        message, streams, _, _ = socket.recv_fds(ours, _MOST_BYTES, 3)
        if not message:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if not between:
            child = os.fork()
            if child:
                os.write(writing, str(child).encode())
                os._exit(0)  # the child is the test's from here on
            request: dict[str, Any] = json.loads(message)
            if request["own_session"]:
                os.setsid()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            os.closerange(3, 256)
            ours.detach()
            return request
        child = os.read(reading, 32)
        os.waitpid(between, 0)
        for end in (reading, writing, *streams):
            os.close(end)
        ours.send(child)


def _begin(request: dict[str, Any]) -> None:
    """What an interpreter does before it runs a script."""
    os.chdir(request["cwd"])
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        errors = "backslashreplace" if name == "stderr" else "strict"
        buffering = 1 if name == "stderr" or os.isatty(number) else -1
        stream = open(number, mode, buffering, errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    first, *rest = request["words"]
    if first == "-m":
        sys.path[0] = request["cwd"]
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(first).parent)
        sys.argv = request["words"]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)

    import stnlab.cli
    import stnlab.report
    import stnlab.run
    import stnlab.sweep  # noqa: F401

    _begin(_serve(socket.socket(fileno=int(sys.argv[1]))))
