# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all tests: the collection importable from a checkout, modules and playbooks run as Ansible runs them.

No fixture skips: a test that needs a cluster fails with one clear sentence when there is none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml
from ansible.release import __version__ as ansible_version
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

from tests import module_process
from tests.audit_log import AuditLog, audit_log_of

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".work"
COLLECTIONS = WORK / "collections"
BIN = Path(sys.executable).parent
INTERPRETER = ROOT / "tests" / "interpreter"
#: What the wrapper of ansible-core 2.19 and later tells a module on top; older ones refuse it.
SINCE_2_19: t.Mapping[str, t.Any] = (
    {"_ansible_tracebacks_for": []} if tuple(map(int, ansible_version.split(".")[:2])) >= (2, 19) else {}
)

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(WORK / "hypothesis"))


def _make_importable() -> None:
    """Let `ansible_collections.meshops.locality` mean this checkout; kubernetes.core comes from site-packages."""
    link = COLLECTIONS / "ansible_collections" / "meshops" / "locality"
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another pytest worker was faster
            link.symlink_to(ROOT, target_is_directory=True)
    _AnsibleCollectionFinder(paths=[str(COLLECTIONS)])._install()


_make_importable()


@dataclasses.dataclass(frozen=True)
class PlaybookRun:
    """What one `ansible-playbook` did, as its JSON callback tells it."""

    rc: int
    stats: dict[str, dict[str, int]]
    custom_stats: dict[str, t.Any]
    stderr: str
    stdout: str = dataclasses.field(repr=False)
    plays: list[dict[str, t.Any]] = dataclasses.field(repr=False)

    @property
    def changed(self) -> int:
        """The number of changed tasks over all hosts."""
        return sum(host["changed"] for host in self.stats.values())

    def results(self, task: str | None = None, host: str | None = None) -> list[dict[str, t.Any]]:
        """Return the results of all tasks in order, optionally only those of one task name or of one host."""
        return [
            result
            for play in self.plays
            for entry in play["tasks"]
            if task is None or entry["task"]["name"].split(" : ")[-1] == task
            for name, result in entry["hosts"].items()
            if host is None or name == host
        ]

    def failures(self) -> list[str]:
        """Return "task: message" for each task that failed or could not reach its host, and where it was raised."""
        return [
            "\n".join([f"{entry['task']['name']}: {result.get('msg', result)}", *raised_at(result)])
            for play in self.plays
            for entry in play["tasks"]
            for result in entry["hosts"].values()
            if result.get("failed") or result.get("unreachable")
        ]


def raised_at(result: t.Mapping[str, t.Any]) -> list[str]:
    """Return the traceback of a module's own error, which its message does not have; nothing for any other result."""
    unexpected = "error of the module itself" in str(result.get("msg"))
    return [str(result["exception"])] if unexpected and result.get("exception") else []


def ansible_environment(home: Path, env: t.Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of one Ansible process: this checkout's collection, JSON output, nothing of the user's."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "ansible.cfg").touch()
    users = ("ANSIBLE_", "K8S_AUTH_", "KUBECONFIG", "MESHOPS_SANDBOX_NAME", "MESHOPS_SANDBOX_NETWORK")
    own = {name: value for name, value in os.environ.items() if not name.startswith(users)}
    return {
        **own,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(home / "ansible" / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(home / "ansible" / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(INTERPRETER),
        "MESHOPS_TEST_MODULES": module_process.address(),
        **(env or {}),
    }


def _start(command: list[str], home: Path, env: t.Mapping[str, str] | None, timeout: float) -> PlaybookRun:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=ansible_environment(home, env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    # Before the JSON, ansible may print a warning or a syntax error.
    begin = done.stdout.find("\n{") + 1 if not done.stdout.startswith("{") else 0
    try:
        output = json.loads(done.stdout[begin:])
    except ValueError:
        output = {"plays": [], "stats": {}}
    return PlaybookRun(
        rc=done.returncode,
        plays=output["plays"],
        stats=output["stats"],
        custom_stats=output.get("global_custom_stats", {}),
        stdout=done.stdout,
        stderr=done.stderr,
    )


def _run_started(
    name: str, arguments: t.Any, environment: dict[str, str], cwd: Path, _scratch: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """As module_process.run, in an interpreter that has imported nothing yet."""
    return subprocess.run(
        [sys.executable, "-m", f"{module_process.PLUGINS}.{name}"],
        cwd=cwd,
        env=environment,
        input=json.dumps(arguments, default=str),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _start_module(
    name: str, params: t.Mapping[str, t.Any], check: bool, home: Path, env: t.Mapping[str, str] | None, timeout: float
) -> dict[str, t.Any]:
    """Run a module of this collection as Ansible's wrapper does on the host, without Ansible itself, which takes two
    thirds of the time. tests/integration/test_as_task.py compares both ways."""
    internal = {
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        "_ansible_module_name": f"meshops.locality.{name}",
        "_ansible_remote_tmp": str(home / "ansible" / "tmp"),
        **SINCE_2_19,
    }
    environment = ansible_environment(home, env)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(COLLECTIONS), environment.get("PYTHONPATH"))))
    arguments = {"ANSIBLE_MODULE_ARGS": {**params, **internal}}
    run = _run_started if module_process.AT_IMPORT & set(env or {}) else module_process.run
    done = run(name, arguments, environment, ROOT, home, timeout)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        pytest.fail(f"{name} gave no result (rc {done.returncode}).\n{done.stdout}\n{done.stderr}")
    assert bool(result.get("failed")) == bool(done.returncode), f"rc {done.returncode}: {result}"
    # As they are between a module and Ansible (ansible-core, module_utils/_internal/_messages.py) since 2.19.
    warnings = [each if isinstance(each, str) else each["event"]["msg"] for each in result.get("warnings", ())]
    return t.cast("dict[str, t.Any]", {"changed": False, **result, **({"warnings": warnings} if warnings else {})})


@pytest.fixture
def run_module(tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    """Run one module of this collection in its own process, as a task would.

    `run_module("node_topology", check=False, env=None, timeout=120, **params)` returns the result: `changed`, `diff`,
    `failed`, `msg` and what the module documents. Parameters called check, env or timeout go into `params={...}`.
    No kubeconfig is set: give it as a parameter or in `env`.
    """

    def run(
        name: str,
        *,
        check: bool = False,
        env: t.Mapping[str, str] | None = None,
        timeout: float = 180,
        params: t.Mapping[str, t.Any] | None = None,
        **more: t.Any,
    ) -> dict[str, t.Any]:
        return _start_module(name, {**(params or {}), **more}, check, tmp_path, env, timeout)

    return run


@pytest.fixture
def run_playbook(tmp_path: Path) -> t.Callable[..., PlaybookRun]:
    """Run one playbook in its own process.

    `run_playbook("site", kubeconfig=…, check=False, tags=None, hosts=None, **extra_vars)`: `site` means
    meshops.locality.site; a path is taken as it is; a list of plays is written to a file first. `hosts` is
    {inventory name: host variables} (default: one host `sandbox`). `kubeconfig` becomes K8S_AUTH_KUBECONFIG.
    """

    def run(
        playbook: str | Path | list[dict[str, t.Any]],
        *,
        kubeconfig: str | Path | None = None,
        check: bool = False,
        diff: bool = True,
        tags: str | None = None,
        hosts: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
        env: t.Mapping[str, str] | None = None,
        timeout: float = 900,
        extra_vars: t.Mapping[str, t.Any] | None = None,
        **more: t.Any,
    ) -> PlaybookRun:
        if isinstance(playbook, list):
            written = tmp_path / f"play-{uuid.uuid4().hex[:8]}.yml"
            written.write_text(yaml.safe_dump(playbook, sort_keys=False), encoding="utf-8")
            playbook = written
        elif isinstance(playbook, str) and "/" not in playbook and not playbook.endswith((".yml", ".yaml")):
            playbook = playbook if "." in playbook else f"meshops.locality.{playbook}"
        inventory = tmp_path / f"inventory-{uuid.uuid4().hex[:8]}.yml"
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        wanted = {name: {**local, **variables} for name, variables in (hosts or {"sandbox": {}}).items()}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": wanted}}), encoding="utf-8")
        command = [str(BIN / "ansible-playbook"), "--inventory", str(inventory)]
        command += ["--check"] if check else []
        command += ["--diff"] if diff else []
        command += ["--tags", tags] if tags else []
        command += ["--extra-vars", json.dumps({**(extra_vars or {}), **more}, default=str), str(playbook)]
        cluster = {"K8S_AUTH_KUBECONFIG": str(kubeconfig)} if kubeconfig else {}
        return _start(command, tmp_path, {**cluster, **(env or {})}, timeout)

    return run


def _sandbox(*arguments: str) -> str:
    """Return what `meshops-sandbox …` prints, or fail the test with its message."""
    command = BIN / "meshops-sandbox"
    if not command.exists():
        pytest.fail("No cluster: meshops-sandbox is not installed. Run `make sandbox NAME=test` first.", pytrace=False)
    done = subprocess.run([str(command), *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        why = (done.stderr or done.stdout).strip()
        pytest.fail(f"No cluster: {why} Run `make sandbox NAME=test` first.", pytrace=False)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The kubeconfig of the cluster under test: $MESHOPS_TEST_KUBECONFIG, or that of the sandbox $MESHOPS_TEST_SANDBOX.

    Without both it is that of the sandbox `test`, never that of `default`, which is a person's.
    """
    named = os.environ.get("MESHOPS_TEST_KUBECONFIG")
    path = Path(named or _sandbox("kubeconfig", "--name", os.environ.get("MESHOPS_TEST_SANDBOX", "test")))
    if not path.is_file():
        source = "MESHOPS_TEST_KUBECONFIG names" if named else "`meshops-sandbox kubeconfig` answered"
        pytest.fail(f"No cluster: {source} {path}, which is not a file.", pytrace=False)
    return path


@pytest.fixture
def audit_log(kubeconfig: Path) -> AuditLog:
    """What the API server under test writes down of every request."""
    return audit_log_of(kubeconfig)


class Kubectl(t.Protocol):
    """`kubectl("get", "pods", "-o", "json")`."""

    def __call__(self, *arguments: str, given: t.Any = None, check: bool = True) -> t.Any: ...


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    """Run the real kubectl on the cluster under test; the tests' independent view of the cluster.

    Returns the parsed JSON when `-o json` is among the arguments, else the text. `given` (a manifest, or a list of
    them) is sent to stdin as JSON (`kubectl("apply", "-f", "-", given=…)`). With check=False a failure returns
    the text of stderr instead of failing the test.
    """
    binary = shutil.which("kubectl") or shutil.which("kubectl", path=os.environ.get("MESHOPS_TEST_BIN"))

    def run(*arguments: str, given: t.Any = None, check: bool = True) -> t.Any:
        command = [binary] if binary else [str(BIN / "meshops-sandbox"), "kubectl", "--"]
        if isinstance(given, list):
            given = {"apiVersion": "v1", "kind": "List", "items": given}
        done = subprocess.run(
            [*command, "--kubeconfig", str(kubeconfig), *arguments],
            input=None if given is None else json.dumps(given),
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            if check:
                pytest.fail(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
            return done.stderr.strip()
        as_json = "json" in arguments or "-ojson" in arguments or "--output=json" in arguments
        return json.loads(done.stdout) if as_json else done.stdout.strip()

    return run


@pytest.fixture
def namespace(kubectl: Kubectl) -> t.Iterator[str]:
    """A new namespace with no labels (no injection), deleted after the test."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
