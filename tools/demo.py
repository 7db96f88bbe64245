# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: the tutorial on a sandbox, or on the cluster of $KUBECONFIG after showing what it will change.

It ends with drills and an assessment of the mesh, and prints where their pages are. Further arguments go to
ansible-playbook (`make demo ARGS="-e site_keep=true"`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
COLLECTIONS = ROOT / ".work" / "collections"
AREA = ROOT / ".work" / "demo"
YES = ("1", "true", "yes")


def stop(message: str, code: int = 1) -> t.NoReturn:
    """End with one sentence."""
    print(f"demo: {message}", file=sys.stderr)
    sys.exit(code)


def say(text: str) -> None:
    """Print at once, between the lines of the programs that we run."""
    print(text, flush=True)


def environment() -> dict[str, str]:
    """Return the environment for Ansible: this checkout as the collection, no cluster but the inventory's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("K8S_AUTH_")}
    own.pop("KUBECONFIG", None)
    # Ansible refuses to start in a locale that is not UTF-8, or that this machine does not have.
    return {
        **own,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "LC_ALL": "C.UTF-8",
    }


def call(command: list[str], env: dict[str, str] | None = None) -> int:
    """Run a program with the terminal as ours; returns its exit code when it has ended.

    Ctrl-C reaches it as it reaches us: we wait while it cleans up, and only then raise KeyboardInterrupt."""
    interrupted: list[int] = []
    # A handler of our own, and not `except KeyboardInterrupt`: that could come while Popen has not returned yet.
    before = signal.signal(signal.SIGINT, lambda number, _frame: interrupted.append(number))
    try:
        returncode = subprocess.Popen(command, cwd=ROOT, env=env).wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted or returncode in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    return returncode


def playbook(name: str, inventory: Path, *arguments: str) -> int:
    """Run a playbook of the collection with the terminal as ours; returns its exit code."""
    command = [str(BIN / "ansible-playbook"), "--inventory", str(inventory), f"meshops.locality.{name}", *arguments]
    return call(command, environment())


def sandbox_inventory() -> Path:
    """Bring the sandbox `default` up (nothing happens when it is) and return its inventory."""
    sandbox = str(BIN / "meshops-sandbox")
    if code := call([sandbox, "up", "--name", "default"]):
        stop("the sandbox did not come up, see above.", code)
    printed = subprocess.run([sandbox, "inventory", "--name", "default"], capture_output=True, text=True, check=False)
    if printed.returncode:
        stop(f"no inventory of the sandbox: {printed.stderr.strip()}")
    inventory = AREA / "sandbox.yml"
    inventory.write_text(printed.stdout, encoding="utf-8")
    return inventory


def own_inventory(kubeconfig: str) -> Path:
    """Return an inventory with one host, the cluster of the current context of `kubeconfig`."""
    path = Path(kubeconfig).expanduser()
    if os.pathsep in kubeconfig:
        stop("KUBECONFIG names several files; name one (`kubectl config view --flatten` makes one of several).")
    if not path.is_file():
        stop(f"KUBECONFIG names {path}, which is not a file.")
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts = {"cluster": {"kubeconfig": str(path.absolute())}}
    inventory = AREA / "cluster.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": local}}), encoding="utf-8")
    return inventory


def ask(inventory: Path, arguments: list[str]) -> None:
    """Show what will change on somebody's own cluster, and go on only when told to."""
    if code := playbook("preview", inventory, *arguments):
        stop("the preview failed, nothing was changed.", code)
    if (os.environ.get("YES") or os.environ.get("MESHOPS_YES") or "").lower() in YES:
        return
    if not sys.stdin.isatty():
        stop("this is your own cluster and there is no terminal to ask on: set YES=1 to go on; nothing was changed.")
    try:
        answer = input("Do all of this on that cluster now? Type yes: ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip().lower() != "yes":
        stop("nothing was changed.")


def reports(folder: Path) -> list[str]:
    """Return a line for each drill (outcome, title, page) and assessment in a folder of evidence, the oldest first."""
    lines = []
    for path in sorted(folder.glob("*/drills/*/report.html")):
        drill = json.loads((path.parent / "drill.json").read_text(encoding="utf-8"))
        lines.append(f"{drill['outcome']:11} {drill['title']:27} {shown(path)}")
    lines += [
        f"{'':11} {'assessment of the mesh':27} {shown(path)}" for path in sorted(folder.glob("*/assessment.html"))
    ]
    return lines


def shown(path: Path) -> str:
    """Return a path as one types it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def main() -> int:
    """Run the tutorial; the exit code is ansible-playbook's."""
    arguments = sys.argv[1:]
    AREA.mkdir(parents=True, exist_ok=True)
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if kubeconfig:
        inventory = own_inventory(kubeconfig)
        ask(inventory, arguments)
    else:
        inventory = sandbox_inventory()
    evidence = AREA / time.strftime("%Y%m%d-%H%M%S")
    code = playbook("site", inventory, "-e", f"site_evidence={evidence}", *arguments)
    if lines := reports(evidence):
        say("")
        say("The reports of the drills and of the mesh, to open in a browser:")
        say("\n".join(f"  {line}" for line in lines))
    if not kubeconfig:
        say("")
        say("The sandbox is still up, the next `make demo` uses it again.")
        say('  look around   eval "$(.venv/bin/meshops-sandbox env)" && kubectl get nodes,pods -A')
        say("  its state     .venv/bin/meshops-sandbox status")
        say("  take it down  make sandbox-down")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        stop("interrupted; the next run goes on, `make sandbox-down` takes the sandbox away.", 130)
