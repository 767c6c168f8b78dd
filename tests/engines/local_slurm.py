"""A real Slurm of one node, reachable on the loopback interface only.

    python tests/engines/local_slurm.py up       # prints the line that lets a shell use it
    python tests/engines/local_slurm.py status
    python tests/engines/local_slurm.py down

In a test, ``with running_slurm():`` does the same in a temporary folder, sets ``SLURM_CONF`` for
its block, and leaves neither processes nor files behind. It works as root and as any other user
(who can then run only that user's jobs); it needs no systemd, no cgroups and no accounting
database. Without a database ``sacct`` has nothing to say, and submitit then waits forever for a
job that was killed; so a ``sacct`` that asks the controller is put first on ``PATH``, unless
``sacct=False``.
"""

import argparse
import contextlib
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CLUSTER_NAME = "stnlab-tests"
INSTALL = "apt-get install -y --no-install-recommends slurm-wlm munge"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scontrol")
PATH_WITH_SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

SACCT = """\
#!/bin/sh
# `sacct -o JobID,State,NodeList --parsable2 -j ID ...`, as submitit calls it, from the controller.
jobs=
while [ $# -gt 0 ]; do
    case $1 in -j) jobs=$jobs,$2; shift ;; esac
    shift
done
echo 'JobID|State|NodeList'
exec squeue --array --noheader --states=all --format='%i|%T|%N' --jobs="${jobs#,}"
"""


class SlurmUnavailableError(RuntimeError):
    """This machine cannot run Slurm; the message says what is missing."""


@dataclass(frozen=True)
class SlurmCluster:
    """A cluster whose every file is in ``folder``."""

    folder: Path
    sacct: bool = True

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    def environment(self) -> dict[str, str]:
        """The variables under which Slurm's commands, and submitit, find this cluster."""
        variables = {"SLURM_CONF": str(self.conf)}
        if self.sacct:
            path = os.environ.get("PATH", os.defpath)
            variables["PATH"] = os.pathsep.join([str(self.folder / "bin"), path])
        return variables

    def state(self) -> str:
        """The node's state in ``sinfo``'s words, such as ``idle``; empty while nobody answers."""
        answer = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env={**os.environ, **self.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        return answer.stdout.strip() if answer.returncode == 0 else ""


@contextlib.contextmanager
def running_slurm(num_cpus: int | None = None, *, sacct: bool = True) -> Iterator[SlurmCluster]:
    """A cluster for the block; ``SLURM_CONF`` and ``PATH`` are set and then restored.

    Raises SlurmUnavailableError where it cannot run, and RuntimeError with the daemons' last words
    where one dies or the node is not idle within half a minute.
    """
    require_programs()
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path has 107 characters
    daemons: list[subprocess.Popen[bytes]] = []
    before: dict[str, str | None] = {}
    try:
        cluster = start(folder, num_cpus, sacct=sacct, daemons=daemons, end_with_parent=True)
        variables = cluster.environment()
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        yield cluster
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        stop(folder)
        for daemon in daemons:
            daemon.wait()


def require_programs() -> None:
    """Raise SlurmUnavailableError where a program is missing."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH_WITH_SBIN) is None]
    if missing:
        raise SlurmUnavailableError(
            f"Slurm is not installed: no {', '.join(missing)}. On Debian or Ubuntu, as root: "
            f"{INSTALL}"
        )


def hostname_is_loopback() -> bool:
    """Whether this machine's name means 127.x.x.x, which is where Slurm then listens."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(str(address[0]).startswith("127.") for *_, address in found)


def loopback_prefix() -> tuple[list[str], str]:
    """What to put before a daemon's command so that it listens on loopback, and its host's name.

    Slurm can bind to the address of the host's name, and to no other. Where that is not a loopback
    address, the daemons get a host name of their own: ``localhost``, in a UTS namespace.
    """
    if hostname_is_loopback():
        return [], socket.gethostname().split(".")[0]
    prefix = ["unshare", "--uts", "--", "sh", "-c", 'hostname localhost && exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        name = socket.gethostname()
        raise SlurmUnavailableError(
            f"Slurm would listen beyond this machine: the host name {name!r} is not a loopback "
            f"address, and changing it for the daemons takes CAP_SYS_ADMIN. Let {name} mean "
            "127.0.0.1 in /etc/hosts (in Docker: --hostname localhost, or --cap-add SYS_ADMIN)"
        )
    return prefix, "localhost"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def slurm_conf(folder: Path, host: str, num_cpus: int) -> str:
    """The text of ``slurm.conf``."""
    controller_port, node_port = free_ports(2)
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"""\
ClusterName={CLUSTER_NAME}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
# Started by a number, not by a name: a container's user may have none.
SlurmUser={os.geteuid()}
SlurmdUser={os.geteuid()}
AuthType=auth/munge
# A requeued job waits for its credential to expire: 5 seconds rather than 120.
AuthInfo=socket={folder}/munge.socket,cred_expire=5

StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log

ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
AccountingStorageType=accounting_storage/none

SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
JobRequeue=1
# Seconds from SIGTERM to SIGKILL.
KillWait=2
ReturnToService=2
SlurmdParameters=config_overrides

NodeName=local NodeHostname={host} NodeAddr=127.0.0.1 CPUs={num_cpus} RealMemory={memory_mb}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def start(
    folder: Path,
    num_cpus: int | None = None,
    *,
    sacct: bool = True,
    daemons: list[subprocess.Popen[bytes]],
    end_with_parent: bool = False,
) -> SlurmCluster:
    """Start a cluster in the empty ``folder`` and wait until its node is idle.

    Every daemon is appended to ``daemons`` as soon as it runs, so that the caller can clean up
    after an error. ``end_with_parent`` lets the kernel end them if this process is killed.
    """
    prefix, host = loopback_prefix()
    if end_with_parent:
        prefix = ["setpriv", "--pdeathsig", "TERM", "--", *prefix]
    # munge wants a private key, and a socket that others could reach.
    folder.chmod(0o755)
    cluster = SlurmCluster(folder, sacct)
    cluster.conf.write_text(slurm_conf(folder, host, num_cpus or max(2, os.cpu_count() or 2)))
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))
    (folder / "bin" / "sacct").write_text(SACCT)
    (folder / "bin" / "sacct").chmod(0o755)

    def run(*command: str) -> None:
        with (folder / f"{command[0]}.out").open("wb") as out:
            daemons.append(
                subprocess.Popen(
                    [*prefix, *command],
                    env={**os.environ, "PATH": PATH_WITH_SBIN, "SLURM_CONF": str(cluster.conf)},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    start_new_session=True,
                )
            )

    def wait_until(what: str, *, is_true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not is_true():
            dead = [daemon for daemon in daemons if daemon.poll() is not None]
            if dead or time.monotonic() > deadline:
                raise RuntimeError(
                    f"Slurm did not come up: {'a daemon ended' if dead else 'too slow'} before "
                    f"{what}\n{last_words(folder)}"
                )
            time.sleep(0.1)

    if without_cgroups := cgroup_conf():
        (folder / "cgroup.conf").write_text(without_cgroups)
    run(
        "munged",
        "--foreground",
        "--origin=127.0.0.1",
        f"--key-file={key}",
        *(f"--{name}-file={folder}/munged.{name}" for name in ("log", "pid", "seed")),
        f"--socket={folder}/munge.socket",
    )
    wait_until("munged listened", is_true=(folder / "munge.socket").exists)
    run("slurmctld", "-D", "-i")
    run("slurmd", "-D", "-N", "local")
    wait_until("the node was idle", is_true=lambda: cluster.state() == "idle")
    return cluster


def cgroup_conf() -> str:
    """The text of ``cgroup.conf``; empty for a Slurm that can do without the file."""
    answer = subprocess.run(["sinfo", "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"(\d+)\.(\d+)", answer.stdout)
    if version and (int(version[1]), int(version[2])) >= (24, 5):
        return "CgroupPlugin=disabled\n"  # unknown to older versions, which touch no cgroup here
    return ""


def last_words(folder: Path) -> str:
    """The end of what each daemon said."""
    ends = [
        f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-8:])
        for path in sorted([*folder.glob("*.out"), *folder.glob("*.log")])
    ]
    return "\n".join(ends)


def processes(folder: Path) -> set[int]:
    """The live processes of the cluster in ``folder``: its daemons, its jobs, and their children.

    They are known by the ``SLURM_CONF`` that they were started with. A program that only uses the
    cluster carries it too, and is left alone: it is neither one of Slurm's nor in one of its jobs.
    """
    conf = f"SLURM_CONF={folder}/slurm.conf"
    cluster = f"SLURM_CLUSTER_NAME={CLUSTER_NAME}"
    daemons = {"munged", "slurmctld", "slurmscriptd", "slurmd", "slurmstepd", "slurm_script"}
    parents: dict[int, int] = {}
    members: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            name = (entry / "comm").read_text().strip()
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
            variables = (entry / "environ").read_text(errors="replace").split("\0")
        except OSError:
            continue  # it has ended, or it is somebody else's
        if conf in variables and (name in daemons or cluster in variables):
            members.add(int(entry.name))
    while children := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= children
    return members


def stop(folder: Path) -> None:
    """End every process of the cluster in ``folder``, running jobs too, and remove the folder."""
    began = time.monotonic()
    told: set[int] = set()
    while alive := processes(folder):
        patience = time.monotonic() - began
        if patience > 20:
            raise RuntimeError(f"Slurm's processes {sorted(alive)} do not end, see {folder}")
        for pid in alive if patience > 3 else alive - told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if patience > 3 else signal.SIGTERM)
        told |= alive
        time.sleep(0.1)
    if folder.exists():
        shutil.rmtree(folder)


def holds_cluster(folder: Path) -> bool:
    """Whether ``folder`` is one of ours, which may be removed."""
    conf = folder / "slurm.conf"
    return conf.is_file() and conf.read_text().startswith(f"ClusterName={CLUSTER_NAME}\n")


def up(cluster: SlurmCluster, num_cpus: int | None) -> None:
    """Start ``cluster`` unless it runs; leave nothing behind where that fails."""
    if holds_cluster(cluster.folder):
        if cluster.state():
            return
        stop(cluster.folder)  # what a crash has left
    cluster.folder.mkdir(mode=0o755)
    try:
        start(cluster.folder, num_cpus, daemons=[])
    except BaseException:
        stop(cluster.folder)
        raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["up", "down", "status"])
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / f"slurm-{os.geteuid()}",
        help="where the cluster lives (default: %(default)s)",
    )
    parser.add_argument("--num-cpus", type=int, help="default: the machine's, at least 2")
    arguments = parser.parse_args()
    cluster = SlurmCluster(arguments.folder.resolve())
    try:
        require_programs()
        if arguments.action == "up":
            up(cluster, arguments.num_cpus)
        if arguments.action == "down":
            if holds_cluster(cluster.folder):
                stop(cluster.folder)
            return 0
    except (RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if not (holds_cluster(cluster.folder) and cluster.state()):
        print("Slurm is down", file=sys.stderr)
        return 1
    print(f"# the node is {cluster.state()}")
    print(f"export SLURM_CONF={shlex.quote(str(cluster.conf))}")
    print(f'export PATH={shlex.quote(str(cluster.folder / "bin"))}:"$PATH"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
