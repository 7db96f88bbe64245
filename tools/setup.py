# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make .venv what requirements/ says, with the system's Python and nothing else:
`python3 tools/setup.py run|dev [FOR]`.

FOR is what comes afterwards and cannot work everywhere: `sandbox` (bring one up), `root` (take one away). Whether it
can is said first, before anything is downloaded.

A stamp in .venv holds the hash of everything that was installed; when it matches, nothing is done. A file that exists
only while pip works marks an interrupted installation: the next run starts that .venv from nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements"
SANDBOX = ROOT / "sandbox"
LINK = ROOT / ".work" / "collections" / "ansible_collections" / "meshops" / "locality"
INTERRUPTED = VENV / ".installing"
SETS = {"run": ("run.txt",), "dev": ("run.txt", "dev.txt")}
SILENCE = 10  # seconds without a line before we say that we are still there
MINIMUM = (3, 11)
PURPOSES = ("root", "sandbox")
# A machine with less has never as much available as the sandbox asks for (meshops_sandbox.preflight.MEMORY_BYTES).
SANDBOX_MEMORY = 3 * 1024**3


def stop(message: str) -> None:
    """End with one sentence."""
    sys.exit(f"set-up: {message}")


def memory() -> int:
    """Return the bytes of memory this machine has."""
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def check_machine(purpose: str) -> None:
    """End with one sentence when this user or this machine cannot do what comes after the set-up."""
    if os.geteuid() != 0:
        stop(
            "the sandbox needs root: it makes network namespaces, mounts and cgroups. Run it with sudo. "
            "(`make lint`, `make unit` and `make sanity` need no root; nothing was installed.)"
        )
    if purpose == "sandbox" and memory() < SANDBOX_MEMORY:
        available, needed = (number / 1024**3 for number in (memory(), SANDBOX_MEMORY))
        stop(
            f"this machine has {available:.1f} GiB of memory, the sandbox needs {needed:.1f} GiB. Nothing was"
            " installed."
        )


def wanted_stamp(which: str) -> str:
    """Return the hash of everything that decides what .venv contains."""
    files = [
        *(REQUIREMENTS / name for name in SETS[which]),
        REQUIREMENTS / "constraints.txt",
        SANDBOX / "pyproject.toml",
        Path(__file__),
    ]
    digest = hashlib.sha256(f"{VENV} {sys.version}".encode())
    for file in files:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def is_ready(which: str) -> bool:
    """Whether .venv already holds the set `which`, or the larger one."""
    python = VENV / "bin" / "python"
    if INTERRUPTED.exists() or not python.exists():
        return False
    names = ["dev"] if which == "dev" else ["run", "dev"]
    stamps = [(VENV / f".stamp-{name}", wanted_stamp(name)) for name in names]
    return any(stamp.is_file() and stamp.read_text() == wanted for stamp, wanted in stamps)


class Progress:
    """Lines of a running command: the newest on one line of a terminal, a few of them in a log."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.begun = self.spoken = time.monotonic()
        self.tty = sys.stdout.isatty()
        self.text = ""
        self.done = threading.Event()
        self.ticker = threading.Thread(target=self._tick, daemon=True)

    def _print(self, text: str) -> None:
        line = f"[{time.monotonic() - self.begun:4.0f} s] {self.title}: {text}"
        if self.tty:
            print("\r\033[K" + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
        else:
            print(line, flush=True)
        self.spoken = time.monotonic()

    def _tick(self) -> None:
        while not self.done.wait(1):
            if self.tty or time.monotonic() - self.spoken >= SILENCE:
                self._print(self.text or "working")

    def __enter__(self) -> Progress:
        self._print("begins")
        self.ticker.start()
        return self

    def say(self, text: str) -> None:
        """Show what is being done now."""
        self.text = text
        if self.tty or time.monotonic() - self.spoken >= 2:
            self._print(text)

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.ticker.join()
        self._print("done" if error[0] is None else "stopped")
        if self.tty:
            print()


def attempt(title: str, command: list[str], env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a command, show its lines as progress; returns its exit code and its last lines.

    Ctrl-C reaches the command as well: it has ended when KeyboardInterrupt is raised."""
    last: list[str] = []
    interrupted = False
    with (
        Progress(title) as progress,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        while process.returncode is None:
            try:
                for line in process.stdout or ():
                    last = [*last[-14:], line.rstrip()]
                    if line.strip():
                        progress.say(line.strip()[:160])
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
    if interrupted or process.returncode in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    return process.returncode, "\n".join(last)


def failed(title: str, code: int, said: str) -> None:
    """End with what a command said last."""
    print(said, file=sys.stderr)
    stop(f"{title} failed (exit code {code}); see above. Correct that and run it again.")


def run(title: str, command: list[str], env: dict[str, str] | None = None) -> None:
    """Run a command that must succeed."""
    code, said = attempt(title, command, env)
    if code:
        failed(title, code, said)


def apt_get(title: str, *arguments: str) -> tuple[int, str]:
    """Run apt-get, again when another one holds its locks; `update` and others do not wait for all of them."""
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments]
    for pause in (10, 10, 0):
        code, said = attempt(title, command, {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})
        if not code or "Could not get lock" not in said:
            break
        time.sleep(pause)
    return code, said


def install_venv_module() -> None:
    """Debian ships `python3 -m venv` without ensurepip: install the missing package."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if shutil.which("apt-get") is None:
        stop(f"{sys.executable} has no ensurepip and there is no apt-get: install its venv package and run again.")
    if os.geteuid() != 0:
        stop(f"this Python has no ensurepip: run `apt-get install {package}` as root, then run again.")
    code, said = apt_get("Debian's package lists", "update")
    if code:  # one repository that is away is no reason to stop: the package may be in the lists that are there
        print(f"set-up: apt-get update failed, going on with the old lists: {said.splitlines()[-1:]}", flush=True)
    title = f"Debian package {package}"
    code, said = apt_get(title, "install", "--yes", "--no-install-recommends", package)
    if code:
        failed(title, code, said)


def is_from_here() -> bool:
    """Whether the programs of .venv start this .venv: after the checkout was moved or copied they start another."""
    try:
        return os.fsencode(VENV / "bin") + b"/" in (VENV / "bin" / "pip").read_bytes()[:4096]
    except OSError:
        return False


def make_venv() -> None:
    """Create .venv, or start it from nothing when it is broken or its installation was interrupted."""
    pip = [str(VENV / "bin" / "python"), "-c", "import pip"]
    if VENV.exists():
        works = os.access(pip[0], os.X_OK) and subprocess.run(pip, capture_output=True, check=False).returncode == 0
        if INTERRUPTED.exists() or not works or not is_from_here():
            print(f"set-up: {VENV} was left unfinished or comes from another place, it is made again", flush=True)
            shutil.rmtree(VENV)
    if VENV.exists():
        return
    # Debian's python3-minimal has venv but no ensurepip.
    if subprocess.run([sys.executable, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode:
        install_venv_module()
    run("virtual environment", [sys.executable, "-m", "venv", str(VENV)])


def install(which: str) -> None:
    """Install one set of requirements and the sandbox tool into .venv."""
    make_venv()
    INTERRUPTED.touch()
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    # Little of it is ever imported, and compiled then; to compile everything takes as long as all the rest.
    pip += ["install", "--no-compile", "--progress-bar", "off", "--constraint", str(REQUIREMENTS / "constraints.txt")]
    for name in SETS[which]:
        pip += ["--requirement", str(REQUIREMENTS / name)]
    if (SANDBOX / "pyproject.toml").is_file():
        # `compat` only adds a path: setuptools' own finder costs each start of Python, so each Ansible task, 25 ms.
        pip += ["--config-settings", "editable_mode=compat", "--editable", str(SANDBOX)]
    run("Python packages (about a minute, 600 MB)", pip)
    (VENV / f".stamp-{which}").write_text(wanted_stamp(which))
    INTERRUPTED.unlink()


def link_collection() -> None:
    """Make this checkout findable as a collection: .work/collections/ansible_collections/meshops/locality."""
    if LINK.is_symlink() and LINK.resolve() == ROOT:
        return
    LINK.unlink(missing_ok=True)
    LINK.parent.mkdir(parents=True, exist_ok=True)
    LINK.symlink_to(ROOT, target_is_directory=True)


def main() -> None:
    """Make .venv ready."""
    which = sys.argv[1] if len(sys.argv) > 1 else "run"
    if which not in SETS:
        stop(f"unknown set {which!r}; known: {', '.join(SETS)}.")
    purpose = sys.argv[2] if len(sys.argv) > 2 else ""
    if purpose and purpose not in PURPOSES:
        stop(f"unknown purpose {purpose!r}; known: {', '.join(PURPOSES)}.")
    if sys.version_info < MINIMUM:
        version = ".".join(map(str, sys.version_info[:3]))
        stop(
            f"Python {version} is too old, 3.11 or newer is needed; name one with `make PYTHON=/path/to/python3.11 …`."
        )
    if sys.platform != "linux":
        stop(f"this project needs Linux (found {sys.platform}).")
    if purpose:
        check_machine(purpose)
    lock = ROOT / ".work" / "setup.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not is_ready(which):
            install(which)
        link_collection()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        stop("interrupted; the next run goes on.")
