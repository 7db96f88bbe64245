# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of `make test`. The steps of one lane run one after the other, in the order given here.

The lanes run at once. `files` needs no cluster. `drill` measures: what a drill promises holds for processors that are
not overloaded, so the drills, the story and the examples wait for each other. Each has a sandbox of its own; the story
and the examples because they label nodes, which other tests rely on.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / ".work"
LOGS = WORK / "test"
BIN = ROOT / ".venv" / "bin"
#: Sandboxes of the tests: `default` belongs to the person in front of the machine.
SANDBOX = "test"
Lane = t.Literal["drill", "cluster", "files"]
#: What is added to the nice value (setpriority(2)) of a lane's commands and sandboxes, next to lanes with less: drills
#: send requests by the clock, tests on a cluster wait for it, checks of files take what is left.
NICE: t.Mapping[Lane, int] = {"drill": 0, "cluster": 5, "files": 10}
COLLECTIONS = WORK / "collections"
CHECKOUT = COLLECTIONS / "ansible_collections" / "meshops" / "locality"
#: The one differential test that asks a running mesh.
LIVE = ROOT / "tests" / "differential" / "test_live_istiod.py"


class Count(enum.Enum):
    """How the tests of a step are counted."""

    NOTHING = "preparation: counts only when it fails"
    ONE = "the step is one test"
    JUNIT = "test cases of the JUnit files in the step's folder; a skipped one counts as failed"
    SANITY = "test cases of ansible-test's JUnit files; those without applicable files do not count"
    GO = "the PASS and FAIL lines of go test -v"


@dataclasses.dataclass(frozen=True)
class Step:
    """One command. `needs` are steps that must have passed (when they were chosen, too), of the same lane or of one
    that begins earlier; `limit` is in seconds.

    The steps after one that brings a `sandbox` up, in its lane, get its kubeconfig.
    """

    name: str
    command: tuple[str, ...]
    lane: Lane
    count: Count = Count.ONE
    groups: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    limit: int = 600
    env: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    sandbox: str = ""

    @property
    def log(self) -> Path:
        """The file with everything the command printed."""
        return LOGS / f"{self.name}.log"

    @property
    def reports(self) -> Path:
        """The folder with the JUnit files of this step."""
        return LOGS / "junit" / self.name


def tool(name: str, *arguments: str | Path) -> tuple[str, ...]:
    """Return the command line of a program of .venv."""
    return (str(BIN / name), *map(str, arguments))


def script(name: str, *arguments: str | Path) -> tuple[str, ...]:
    """Return the command line of a Python file of tools/."""
    return tool("python", ROOT / "tools" / name, *arguments)


def pytest_step(name: str, folder: str, *arguments: str, **more: t.Any) -> Step:
    """Return a step that runs pytest over one folder of tests/."""
    report = LOGS / "junit" / name / "pytest.xml"
    return Step(
        name,
        tool("pytest", ROOT / "tests" / folder, f"--junit-xml={report}", "--color=no", *arguments),
        count=Count.JUNIT,
        **more,
    )


def scenarios() -> list[str]:
    """Return the molecule scenarios, without `default`, which owns the sandbox."""
    folder = ROOT / "extensions" / "molecule"
    return sorted(path.parent.name for path in folder.glob("*/molecule.yml") if path.parent.name != "default")


def python_folders() -> list[Path]:
    """Return what ruff and mypy read: the collection under its real name, so that its absolute imports resolve."""
    collection = [CHECKOUT / "plugins"]
    others = [ROOT / "sandbox" / "meshops_sandbox", ROOT / "tools", ROOT / "tests"]
    return [path for path in [*collection, *others] if path.is_dir()]


def sandbox_step(step: str, name: str, lane: Lane, *groups: str) -> Step:
    """Return the step that brings a sandbox up from nothing: what an earlier run left in it must not decide a test."""
    command = tool("meshops-sandbox", "up", "--fresh", "--name", name)
    return Step(step, command, lane, Count.NOTHING, groups=groups, needs=("build",), limit=600, sandbox=name)


def own_sandbox(name: str, lane: Lane, limit: int = 1500) -> list[Step]:
    """Return the steps that run tests/<name> on a sandbox of that name, which exists only meanwhile."""
    up = sandbox_step(f"{name}-sandbox", name, lane, "tutorial")
    tests = pytest_step(
        name, name, "-v", "--durations=15", lane=lane, groups=("tutorial",), needs=(up.name,), limit=limit
    )
    command = tool("meshops-sandbox", "down", "--name", name)
    return [up, tests, Step(f"{name}-down", command, lane, Count.NOTHING, groups=("tutorial",), limit=120)]


def molecule_steps(lane: Lane, sandbox: str) -> list[Step]:
    """Return one step per molecule scenario, on the sandbox that the step `sandbox` brings up in the same lane.

    Molecule remembers in ANSIBLE_HOME what an interrupted run had prepared, on a cluster that is gone by now. The
    folder of the step's reports, which is made anew each time, forgets it.
    """
    return [
        Step(
            f"molecule-{name}",
            tool("molecule", "test", "--scenario-name", name),
            lane,
            groups=("molecule",),
            needs=(sandbox,),
            limit=900,
            env={"ANSIBLE_HOME": str(LOGS / "junit" / f"molecule-{name}" / "ansible")},
        )
        for name in scenarios()
    ]


def lint_step(name: str, command: tuple[str, ...], needs: tuple[str, ...] = ()) -> Step:
    """Return a step that reads files and is one test."""
    return Step(name, command, "files", groups=("lint",), needs=needs)


def all_steps() -> list[Step]:
    """Return every step, in the order of its lane."""
    return [
        Step(
            "build",
            tool("meshops-sandbox", "build"),
            "cluster",
            Count.NOTHING,
            groups=("sandbox", "tutorial"),
            limit=2400,
        ),
        sandbox_step("sandbox", SANDBOX, "cluster"),
        pytest_step(
            "integration",
            "integration",
            *("-v", "--durations=15", "--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"),
            *("-m", "not soak and not alone"),
            lane="cluster",
            needs=("sandbox",),
            limit=2400,
        ),
        pytest_step(
            "integration-alone",
            "integration",
            *("-v", "--durations=15", "-m", "alone and not soak"),
            lane="cluster",
            groups=("integration",),
            needs=("sandbox",),
        ),
        pytest_step("live", "differential/test_live_istiod.py", "-v", lane="cluster", needs=("sandbox",), limit=900),
        *molecule_steps("cluster", "sandbox"),
        # The last sandbox of a machine gives its sysctls back, which others need: `test` has to be there all the while.
        pytest_step(
            "sandbox-test", "sandbox", "-v", "--durations=15", lane="cluster", needs=("build", "sandbox"), limit=1800
        ),
        # Most of it is waiting for drills, one after the other: about 25 minutes.
        *own_sandbox("drill", "drill", 3600),
        *own_sandbox("story", "drill"),
        *own_sandbox("examples", "drill"),
        lint_step("ruff", tool("ruff", "check", "--no-cache", ROOT)),
        lint_step("format", tool("ruff", "format", "--check", "--no-cache", ROOT)),
        lint_step("yamllint", tool("yamllint", "--strict", ".")),
        pytest_step("unit", "unit", f"--numprocesses={min(4, os.cpu_count() or 1)}", lane="files"),
        pytest_step("offline", "offline", f"--numprocesses={min(4, os.cpu_count() or 1)}", lane="files"),
        Step("chromium", script("chromium.py"), "files", Count.NOTHING, groups=("browser",)),
        pytest_step("browser", "browser", lane="files", needs=("chromium",)),
        lint_step("mypy", tool("mypy", *python_folders())),
        dataclasses.replace(
            lint_step("imports", tool("lint-imports", "--no-cache")), env={"PYTHONPATH": str(CHECKOUT.parents[2])}
        ),
        lint_step("changelog", tool("antsibull-changelog", "lint")),
        lint_step("docs", script("docs_lint.py")),
        lint_step("tarball", script("built_tarball.py")),
        lint_step("galaxy-importer", script("galaxy_import.py"), needs=("tarball",)),
        lint_step("ansible-lint", tool("ansible-lint", "--offline", "--profile", "production")),
        pytest_step("package", "package", "--durations=15", lane="files", limit=1200),
        # The whole table is `make versions`, and part of `make soak`.
        Step("versions", script("versions.py", "--quick"), "files", needs=("tarball",), limit=900),
        Step("sanity", script("sanity.py"), "files", Count.SANITY, limit=900),
        Step("go", script("go_test.py"), "files", Count.GO, needs=("build",), limit=900),
        Step(
            "oracle",
            script("oracle.py", "build"),
            "files",
            Count.NOTHING,
            groups=("differential",),
            needs=("build",),
            limit=2400,
        ),
        pytest_step(
            "differential-tests",
            "differential",
            *("--durations=15", f"--ignore={LIVE}"),
            lane="files",
            groups=("differential",),
            needs=("oracle",),
            limit=1800,
        ),
    ]


def choose(steps: t.Sequence[Step], names: t.Sequence[str]) -> list[Step]:
    """Return the steps with these names or groups (none: all). Raises KeyError with the first unknown name."""
    known = {name for step in steps for name in (step.name, *step.groups)}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return [step for step in steps if not names or {step.name, *step.groups} & set(names)]
