# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection on other versions of ansible-core, Python and kubernetes.core: `versions.py [CORE[/PYTHON] …]`.

For each version an environment with nothing but ansible-core and what the collection declares. The built tarball is
installed in it, every plugin is imported, and the playbooks that need no cluster run. What they compute has to be the
same as with the first version of the list. Without names: the oldest and the newest. `--unit` runs the plugins' unit
tests, too, `--live` the commands of the README and of docs/own-cluster.md on the cluster $MESHOPS_TEST_KUBECONFIG.

`--quick` is the part of `make test`: the oldest version whose Python this machine has, with the unit tests of filters.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import typing as t
import zipfile
from pathlib import Path

from tarball import tarball
from testrun.steps import LOGS, ROOT, WORK
from testrun.venvs import venv, with_path

AREA = WORK / "versions"
EXAMPLES = ROOT / "docs" / "examples"


@dataclasses.dataclass(frozen=True)
class Controller:
    """One row of the table in docs/install.md: versions of ansible-core, Python and kubernetes.core."""

    core: str
    python: str
    kubernetes_core: str

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"core-{self.core}-python-{self.python}-kubernetes.core-{self.kubernetes_core}"


#: Every line of ansible-core that is maintained, or part of a maintained Automation Platform, and the Pythons that it
#: supports on controllers (docs.ansible.com, "ansible-core support matrix").
PYTHONS = {
    "2.16": ("3.10", "3.11", "3.12"),
    "2.17": ("3.10", "3.11", "3.12"),
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13", "3.14"),
    "2.21": ("3.12", "3.13", "3.14"),
}
#: With the oldest Python of each ansible-core the oldest line of kubernetes.core.
CONTROLLERS = tuple(
    Controller(core, python, "5" if python == pythons[0] else "6")
    for core, pythons in PYTHONS.items()
    for python in pythons
)
OLDEST, NEWEST = CONTROLLERS[0], CONTROLLERS[-1]
#: What the unit tests of the plugins import on top of what the collection needs.
TESTS = ("pytest", "hypothesis", "jsonschema", "psutil", "sarif-pydantic", "pytest-xdist")
#: The package of PyPI that carries that line of kubernetes.core; the newest line is in .venv.
CARRIERS = {"5": "ansible>=11,<12"}


class Unavailable(Exception):
    """An interpreter is not on this machine."""


def interpreter(version: str) -> str:
    """Return an interpreter of that version: on PATH, or pyenv's. Raises Unavailable."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    named = shutil.which(f"python{version}")
    for candidate in [*([named] if named else []), *map(str, sorted(root.glob(f"versions/{version}.*/bin/python")))]:
        # pyenv's shims are there for versions that are not chosen, too, and end with an error.
        done = subprocess.run([candidate, "-c", "import venv, ensurepip, ssl"], capture_output=True, check=False)
        if not done.returncode:
            return candidate
    raise Unavailable(f"there is no Python {version} on PATH, and pyenv has none")


def kubernetes_core(line: str) -> Path:
    """Return a folder with ansible_collections/kubernetes/core of that line."""
    if line not in CARRIERS:
        return Path(sysconfig.get_paths()["purelib"])
    folder = AREA / f"kubernetes.core-{line}"
    if not (folder / ".whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        downloads = folder / "download"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", str(downloads), CARRIERS[line]], check=True)
        (wheel,) = downloads.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            parts = [name for name in archive.namelist() if name.startswith("ansible_collections/kubernetes/core/")]
            archive.extractall(folder, parts)
        shutil.rmtree(downloads)
        (folder / ".whole").touch()
    return folder


def carry_collections(controller: Controller, binaries: Path) -> None:
    """Put kubernetes.core, and ansible.posix for the tests, where the package `ansible` would have them."""
    (packages,) = binaries.parent.glob("lib/python*/site-packages")
    folder = packages / "ansible_collections"
    folder.mkdir(exist_ok=True)
    carried = {
        "kubernetes": kubernetes_core(controller.kubernetes_core),
        "ansible": Path(sysconfig.get_paths()["purelib"]),
    }
    for name, where in carried.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(where / "ansible_collections" / name)


def environment(controller: Controller, binaries: Path) -> dict[str, str]:
    """Return the environment of its commands: a home of its own, nothing of the user's."""
    home = AREA / controller.name / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "ansible.cfg").touch()
    return with_path(
        binaries,
        HOME=str(home),
        ANSIBLE_HOME=str(home / ".ansible"),
        ANSIBLE_CONFIG=str(home / "ansible.cfg"),
        ANSIBLE_NOCOLOR="1",
        LC_ALL="C.UTF-8",
    )


def playbooks(folder: Path, binaries: Path, environment: t.Mapping[str, str]) -> list[str]:
    """Run the playbooks that need no cluster, as they are installed; returns what went wrong."""
    shop, tutorial = EXAMPLES / "shop", f"{EXAMPLES}/tutorial/mesh.yml,{EXAMPLES}/tutorial/as-written.yml"
    offline = ["-e", "plan_live=false", "-e", "forecast_live=false", "-e", "upgrade_live=false"]
    runs = {
        # The tutorial's rule has an error, so lint fails, and says which.
        "lint": (2, ["-e", f"lint_manifests={tutorial}", "-e", f"lint_json={folder}/lint.json"]),
        "plan": (0, ["-e", f"plan_manifests={tutorial}", "-e", f"plan_file={folder}/plan.json"]),
        "forecast": (
            0,
            [
                *("-e", f"forecast_manifests={shop}", "-e", f"forecast_file={folder}/forecast.json"),
                *("-e", "forecast_rate=40", "-e", '{"forecast_losses": ["zone eu-central-1a"]}'),
            ],
        ),
        "upgrade": (
            0,
            [
                *("-e", f"upgrade_manifests={shop}", "-e", f"upgrade_file={folder}/upgrade.json"),
                *("-e", "upgrade_from=1.30", "-e", "upgrade_to=1.31"),
            ],
        ),
    }
    wrong = []
    for name, (rc, arguments) in runs.items():
        command = [str(binaries / "ansible-playbook"), f"meshops.locality.{name}", *offline, *arguments]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != rc or not (folder / f"{name}.json").is_file():
            wrong.append(f"{name}: exit code {done.returncode}, expected {rc}\n{done.stdout}\n{done.stderr}")
        elif name == "lint" and "ML202" not in done.stdout:
            wrong.append(f"lint: ML202 is missing\n{done.stdout}")
    return wrong


def results(folder: Path) -> dict[str, t.Any]:
    """Return what the playbooks wrote, without the paths of this machine."""
    return {
        path.name: json.loads(path.read_text(encoding="utf-8").replace(str(EXAMPLES), ""))
        for path in sorted(folder.glob("*.json"))
    }


def unit_tests(
    controller: Controller, binaries: Path, environment: t.Mapping[str, str], tests: list[Path]
) -> list[str]:
    """Run these unit tests; returns what went wrong."""
    report = LOGS / "junit" / "versions" / f"{controller.name}.xml"
    command = [str(binaries / "python"), "-m", "pytest", "-q", f"--numprocesses={min(2, os.cpu_count() or 1)}"]
    command += [f"--override-ini=cache_dir={AREA / controller.name / 'pytest'}", f"--junit-xml={report}"]
    command += map(str, tests)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"unit tests: exit code {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"]
    print(f"{controller.name}: unit tests: {done.stdout.strip().splitlines()[-1]}", flush=True)
    return []


def imports(binaries: Path, environment: t.Mapping[str, str]) -> list[str]:
    """Import every plugin of the installed collection, so that no syntax of a later Python is left; returns errors."""
    code = """
import importlib, pathlib, sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[sys.argv[1]])._install()
collection = pathlib.Path(sys.argv[1], "ansible_collections", "meshops", "locality")
for path in sorted(collection.glob("plugins/**/*.py")):
    parts = path.relative_to(collection).with_suffix("").parts
    importlib.import_module(".".join(["ansible_collections.meshops.locality", *parts]))
    print(path)
"""
    command = [str(binaries / "python"), "-c", code, f"{environment['HOME']}/.ansible/collections"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return [f"imports: {done.stderr}"] if done.returncode or not done.stdout else []


def live_tests(controller: Controller, binaries: Path) -> list[str]:
    """Run tests/examples/test_readme.py with this environment on $MESHOPS_TEST_KUBECONFIG; returns what went wrong."""
    report = LOGS / "junit" / "versions" / f"{controller.name}-live.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-n0", f"--junit-xml={report}"]
    command += [str(ROOT / "tests" / "examples" / "test_readme.py")]
    variables = {**os.environ, "MESHOPS_TEST_CONTROLLER": str(binaries)}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"live: exit code {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"]
    print(f"{controller.name}: live: {done.stdout.strip().splitlines()[-1]}", flush=True)
    return []


def try_on(controller: Controller, *, unit: list[Path], live: bool) -> tuple[list[str], dict[str, t.Any]]:
    """Return what went wrong, and what the playbooks computed. Raises Unavailable."""
    python = interpreter(controller.python)
    packages = [f"ansible-core=={controller.core}.*", "-r", str(ROOT / "meta" / "ee-requirements.txt"), *TESTS]
    binaries = venv(AREA / controller.name / "venv", packages, python=[python], constraints=None)
    carry_collections(controller, binaries)
    variables = environment(controller, binaries)
    install = [str(binaries / "ansible-galaxy"), "collection", "install", "--offline", str(tarball())]
    done = subprocess.run(install, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"ansible-galaxy collection install: {done.stdout}{done.stderr}"], {}
    output = AREA / controller.name / "results"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    wrong = [*imports(binaries, variables), *playbooks(output, binaries, variables)]
    if unit:
        wrong += unit_tests(controller, binaries, variables, unit)
    if live:
        wrong += live_tests(controller, binaries)
    return wrong, results(output)


def available(controllers: t.Sequence[Controller], *, first: bool = False) -> list[Controller]:
    """Return those whose Python this machine has, or only the first of them; says which it has not."""
    runnable: list[Controller] = []
    for each in controllers:
        try:
            interpreter(each.python)
        except Unavailable as error:
            print(f"{each.name}: NOT TRIED, {error}", flush=True)
        else:
            runnable.append(each)
        if first and runnable:
            break
    return runnable


def named(name: str) -> list[Controller]:
    """Return the versions that `2.18`, `2.18/3.12` or `all` stands for."""
    core, _, python = name.partition("/")
    return [each for each in CONTROLLERS if core in ("all", each.core) and python in ("", each.python)]


def main() -> int:
    """Try the chosen versions; 0 when all that are here are well, and one was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="*", help="2.18, 2.18/3.12 or all; without: the oldest and the newest")
    parser.add_argument("--unit", action="store_true", help="the unit tests of the plugins as well")
    parser.add_argument("--live", action="store_true", help="the README's way on $MESHOPS_TEST_KUBECONFIG as well")
    parser.add_argument("--quick", action="store_true", help="the oldest version that is here, with the filters' tests")
    parser.add_argument("--list", action="store_true", help="print the versions and end")
    chosen = parser.parse_args()
    if chosen.list:
        for each in CONTROLLERS:
            print(each.name)
        return 0
    if unknown := [name for name in chosen.version if not named(name)]:
        parser.error(f"there is no {', '.join(unknown)}; --list shows all")
    if chosen.live and not os.environ.get("MESHOPS_TEST_KUBECONFIG"):
        parser.error("--live needs MESHOPS_TEST_KUBECONFIG, the kubeconfig of a cluster of the sandbox")
    tests = [ROOT / "tests" / folder / "plugins" for folder in ("unit", "offline")]
    unit = [folder / "filter" for folder in tests] if chosen.quick else tests if chosen.unit else []
    wanted = [each for name in chosen.version for each in named(name)] or [OLDEST, NEWEST]
    tried = available(CONTROLLERS, first=True) if chosen.quick else available(wanted)
    failures = 0
    expected: dict[str, t.Any] = {}
    for controller in tried:
        wrong, computed = try_on(controller, unit=unit, live=chosen.live)
        expected = expected or computed
        if computed != expected:
            wrong.append("the playbooks computed something else than with the first version")
        print(f"{controller.name}: {'as expected' if not wrong else 'FAILED'}", *wrong, sep="\n", flush=True)
        failures += bool(wrong)
    return 1 if failures or not expected else 0


if __name__ == "__main__":
    sys.exit(main())
