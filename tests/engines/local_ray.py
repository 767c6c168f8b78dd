"""A real Ray on this machine, for a command that starts one, reachable by nothing but itself.

    python tests/engines/local_ray.py -- python sweep.py hydra/launcher=ray ...

``hydra/launcher=ray`` starts a Ray of its own and takes it down again. Left to itself, Ray listens
on every address of the machine; that a sweep's does not is what a test shows, and must not rely on.
So the command runs in a network namespace that has nothing but a loopback interface, and in a
process namespace, which ends every process of Ray with the command, even when that is killed. This
takes root (with CAP_SYS_ADMIN) or a kernel that lets users make namespaces; nothing in the
namespace can reach the network.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

INSTALL = "pip install hydra-ray-launcher 'ray[default]'"

# What keeps Ray small and quiet; 75 MiB is the smallest object store, and the launcher's default.
OVERRIDES = (
    "hydra/launcher=ray",
    "+hydra.launcher.ray.init.num_cpus=2",
    "+hydra.launcher.ray.init.include_dashboard=false",
    "+hydra.launcher.ray.init.log_to_driver=false",
    "+hydra.launcher.ray.init.logging_level=warning",
    # A job whose process was killed is otherwise run three times more.
    "+hydra.launcher.ray.remote.max_retries=0",
)

# Raises the loopback interface of a new network namespace, which starts down, without iproute2.
RAISE_LOOPBACK = """\
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
os.execvp(sys.argv[1], sys.argv[1:])
"""


class RayUnavailableError(RuntimeError):
    """This machine cannot run Ray on loopback only; the message says what is missing."""


@dataclass(frozen=True)
class RaySandbox:
    """Where commands run that start a Ray of their own."""

    folder: Path
    prefix: tuple[str, ...]

    def command(self, command: Sequence[str]) -> list[str]:
        """``command`` inside the namespaces."""
        return [*self.prefix, sys.executable, "-c", RAISE_LOOPBACK, *command]

    def environment(self) -> dict[str, str]:
        """The environment for the command: this process's, and what keeps Ray to itself."""
        return {
            **os.environ,
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
        }


def namespaces() -> tuple[str, ...]:
    """The command that makes the namespaces."""
    prefix = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
    as_user = (prefix[0], "--user", "--map-root-user", *prefix[1:])
    for candidate in (prefix, as_user):
        with contextlib.suppress(FileNotFoundError):
            if not subprocess.run(
                [*candidate, "true"], capture_output=True, check=False
            ).returncode:
                return candidate
    raise RayUnavailableError(
        "Ray listens on every address, and this machine does not allow the network namespace that "
        "would contain it: that takes root with CAP_SYS_ADMIN (in Docker: --cap-add SYS_ADMIN) or "
        "unprivileged user namespaces"
    )


@contextlib.contextmanager
def ray_sandbox() -> Iterator[RaySandbox]:
    """A sandbox for the block, whose files are removed after it.

    Raises RayUnavailableError where it cannot be made.
    """
    missing = [name for name in ("ray", "hydra_plugins.hydra_ray_launcher") if not installed(name)]
    if missing:
        raise RayUnavailableError(f"Ray is not installed: no {', '.join(missing)}. {INSTALL}")
    prefix = namespaces()
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: a socket's path has 107 characters
    try:
        yield RaySandbox(folder, prefix)
    finally:
        shutil.rmtree(folder)


def installed(module: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(module) is not None
    return False


def main() -> int:
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with ray_sandbox() as ray:
            return subprocess.run(
                ray.command(command), env=ray.environment(), check=False
            ).returncode
    except RayUnavailableError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
