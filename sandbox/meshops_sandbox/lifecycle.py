# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""up, down, reset, status: what a user asks of a sandbox."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t
from pathlib import Path

import requests

from meshops_sandbox import (
    boot,
    build,
    cgroups,
    fake_objects,
    machine_state,
    node_stops,
    preflight,
    sandbox_state,
    scale,
    teardown,
)
from meshops_sandbox.api_server import ApiServer
from meshops_sandbox.errors import BootError, NotRunningError, PreflightError
from meshops_sandbox.layout import Layout, NodeLayout, check_name, state_root
from meshops_sandbox.processes import Supervisor
from meshops_sandbox.progress import Progress
from meshops_sandbox.topology import Topology

DEFAULT_LINE = "1.31"


@dataclasses.dataclass(frozen=True)
class Request:
    """What `up` is asked for. topology, line, mesh or network None: what the sandbox has, or had when it was
    interrupted, else the default. network: a /16. fresh: take away first whatever there is, and forget it."""

    name: str
    topology: Topology | None
    line: str | None
    mesh: bool | None
    network: str | None
    default_topology: t.Callable[[], Topology]
    fresh: bool = False


@dataclasses.dataclass(frozen=True)
class Status:
    """state: absent, starting, running, stopping, or broken (it ran, and something that must be there is not).
    nodes: {name: is Ready} of the real ones; stopped: {name: by whom} of those that `node stop` or a drill has stopped;
    fake: {nodes, pods, services: how many}, {} when nothing is fake."""

    name: str
    state: str
    istio: str | None = None
    kubeconfig: str | None = None
    api_server: str | None = None
    network: str | None = None
    nodes: dict[str, bool] = dataclasses.field(default_factory=dict)
    stopped: dict[str, str] = dataclasses.field(default_factory=dict)
    fake: dict[str, int] = dataclasses.field(default_factory=dict)
    processes: dict[str, str] = dataclasses.field(default_factory=dict)
    istiod: bool | None = None
    problems: tuple[str, ...] = ()
    memory_bytes: int | None = None
    ready_after: float | None = None
    times: dict[str, float] = dataclasses.field(default_factory=dict)


def state_of(name: str) -> Path:
    """The state directory of a sandbox: where its registry entry says, else where a new one would be."""
    entry = machine_state.read().sandboxes.get(name)
    return Path(entry.state) if entry else state_root() / name


def up(request: Request, progress: Progress) -> bool:
    """Bring the sandbox up, or leave it alone when it is. Returns whether anything had to be done.

    Raises PreflightError before anything is changed, BootError when a step fails, BuildError from the build."""
    check_name(request.name)
    if not preflight.is_privileged():
        preflight.check(preflight.look(state_root() / request.name))
    with machine_state.working_on(request.name, "up"):
        state = state_of(request.name)
        if request.fresh and teardown.exists(request.name, state):
            preflight.require_root()
            progress.note(f"taking down {request.name!r}")
            teardown.remove(request.name, state, progress)
            state = state_of(request.name)
        record = sandbox_state.read(state)
        if (
            record
            and record.phase == "running"
            and record.boot_id == sandbox_state.boot_id()
            and _has_programs(record, progress)
        ):
            _refuse_other_request(request, record)
            _tell_other_builds(record, progress)
            healed = boot.repair(
                record.layout(state), record.programs(state), progress, mesh=record.istio_line is not None
            )
            if not healed:
                progress.note(f"sandbox {request.name!r} is up already")
            return healed
        if sandbox_state.is_stale(state):
            progress.note(f"the record of {request.name!r} is damaged or of another version: it is created again")
        return _start(_as_before(request, record), state, progress)


def same_again(name: str, default_topology: t.Callable[[], Topology]) -> Request:
    """The request that makes the sandbox `name` anew as it is; with defaults when its record cannot be read.
    Raises NotRunningError when there is none at all."""
    check_name(name)
    state = state_of(name)
    if sandbox_state.is_stale(state):
        return Request(name, None, None, None, None, default_topology)
    record, layout = recorded(name)
    return Request(
        name, layout.topology, record.istio_line, record.istio_line is not None, record.network, default_topology
    )


def down(name: str, progress: Progress) -> bool:
    """Take the sandbox away. Returns whether there was anything to take away."""
    check_name(name)
    preflight.require_root()
    with machine_state.working_on(name, "down"):
        state = state_of(name)
        if not teardown.exists(name, state):
            return False
        teardown.remove(name, state, progress)
        return True


def clean(progress: Progress) -> None:
    """Take away what earlier versions left of sandboxes that are gone: containers, their shims, their cgroups."""
    preflight.require_root()
    try:
        teardown.remove_leftovers(progress)
    finally:
        with machine_state.changing():
            pass  # without any sandbox the machine gets back what it had, also when its last one was lost


def rescale(name: str, wanted: fake_objects.Scale, progress: Progress) -> None:
    """Make a running sandbox hold these fake nodes, pods and services, and no others; `wanted.empty` undoes it all.

    Raises NotRunningError, PreflightError before anything is changed, BuildError from building KWOK, BootError when the
    endpoints do not become ready: the same call again goes on then."""
    check_name(name)
    preflight.require_root()
    with machine_state.working_on(name, "scale"):
        record, layout = running(name)
        if record.scale is None and wanted.empty:
            progress.note(f"nothing in {name!r} is fake")
            return
        preflight.check_memory(
            wanted.bytes() - fake_objects.Scale(**_numbers(record)).bytes(), "the fake nodes and pods"
        )
        supervisor = Supervisor(layout)
        if not supervisor.answers():
            raise NotRunningError(
                f"supervisord of {name!r} does not run.", f"Repair it: meshops-sandbox up --name {name}."
            )
        # Also while everything fake is taken away: its pods go by KWOK.
        kwok = build.ensure_kwok(report=progress)
        record.scale = {**dataclasses.asdict(wanted), "kwok": str(kwok)}
        record.write(layout.state)
        supervisor.change(record.programs(layout.state))
        scale.make(layout, wanted, progress)
        if wanted.empty:
            record.scale = None
            record.write(layout.state)
            supervisor.change(record.programs(layout.state))


def enforce_network_policies(name: str, progress: Progress) -> None:
    """Let every node of a running sandbox enforce NetworkPolicies, until it is taken down.

    Raises NotRunningError, BuildError from building kube-router, BootError when it does not come up."""
    check_name(name)
    preflight.require_root()
    with machine_state.working_on(name, "network-policies"):
        record, layout = running(name)
        supervisor = Supervisor(layout)
        if not supervisor.answers():
            raise NotRunningError(
                f"supervisord of {name!r} does not run.", f"Repair it: meshops-sandbox up --name {name}."
            )
        if record.kube_router:
            progress.note(f"the nodes of {name!r} enforce NetworkPolicies already")
            return
        record.kube_router = str(build.ensure_kube_router(report=progress))
        record.write(layout.state)
        supervisor.change(record.programs(layout.state))
        boot.wait_for_network_policies(layout, progress)


def stop_node(name: str, node: str, progress: Progress) -> None:
    """Cut a node of a running sandbox off, as a machine is that loses its power. One that is stopped stays so.

    Raises NotRunningError, SandboxError for a node that cannot be stopped, BootError when nothing does it."""
    with _on_node(name, node, "node stop") as (layout, of_node):
        node_stops.stop(layout, of_node, progress)


def start_node(name: str, node: str, progress: Progress) -> None:
    """Bring a stopped node back, whoever stopped it, and wait until it is Ready. Raises as stop_node does."""
    with _on_node(name, node, "node start") as (layout, of_node):
        node_stops.start(layout, of_node, progress)


@contextlib.contextmanager
def _on_node(name: str, node: str, what: str) -> t.Iterator[tuple[Layout, NodeLayout]]:
    check_name(name)
    preflight.require_root()
    with machine_state.working_on(name, what):
        _, layout = running(name)
        yield layout, layout.node(node)


def _numbers(record: sandbox_state.Record) -> dict[str, int]:
    """The fields of the fake_objects.Scale that the sandbox has."""
    fields = record.scale or {"nodes": 0}
    return {key: value for key, value in fields.items() if key != "kwok"}


def status(name: str) -> Status:
    """Look at a sandbox; changes nothing."""
    check_name(name)
    state = state_of(name)
    record = sandbox_state.read(state)
    if record is None and sandbox_state.is_stale(state):
        return Status(name, "broken", problems=(_problem_of_stale(name, state),))
    if record is None:
        return Status(name, "broken" if name in machine_state.read().sandboxes else "absent")
    layout = record.layout(state)
    common = Status(
        name=name,
        state=record.phase,
        istio=record.binaries().istio_version if record.istio_line else None,
        kubeconfig=str(layout.kubeconfig),
        api_server=layout.api_server,
        network=record.network,
        times=record.times,
        ready_after=record.ready_after,
        fake={kind: record.scale[kind] for kind in ("nodes", "pods", "services")} if record.scale else {},
    )
    if record.boot_id != sandbox_state.boot_id():
        return dataclasses.replace(common, state="broken", problems=("the machine was restarted",))
    if record.phase != "running":
        return common
    return _look_inside(common, layout, record)


def _problem_of_stale(name: str, state: Path) -> str:
    try:
        teardown.check_state(name, state)
    except PreflightError as error:
        return error.sentence
    return "its record is damaged or of another version: `up` makes it anew, `down` works"


def running(name: str) -> tuple[sandbox_state.Record, Layout]:
    """Record and layout of a sandbox that was brought up completely; NotRunningError when it was not."""
    check_name(name)
    if not is_running(name):
        raise NotRunningError(f"There is no running sandbox {name!r}.", f"Start it: meshops-sandbox up --name {name}.")
    return recorded(name)


def is_running(name: str) -> bool:
    """Whether the sandbox was brought up completely and not taken down since."""
    record = sandbox_state.read(state_of(name))
    return record is not None and record.phase == "running" and record.boot_id == sandbox_state.boot_id()


def recorded(name: str) -> tuple[sandbox_state.Record, Layout]:
    """Record and layout of a sandbox however far it got; NotRunningError when there is none at all."""
    check_name(name)
    state = state_of(name)
    record = sandbox_state.read(state)
    if record is None:
        raise NotRunningError(f"There is no sandbox {name!r}.", f"Start it: meshops-sandbox up --name {name}.")
    return record, record.layout(state)


def names() -> list[str]:
    """All sandboxes of this machine, and those of this user whose state is left from before a reboot."""
    known = set(machine_state.read().sandboxes) | machine_state.leftovers()
    root = state_root()
    if root.is_dir():
        known |= {path.name for path in root.iterdir() if (path / sandbox_state.FILE).exists()}
    return sorted(known)


def _start(request: Request, state: Path, progress: Progress) -> bool:
    host = preflight.look(state)
    preflight.check(host)
    teardown.check_state(request.name, state)
    left_over = teardown.exists(request.name, state)
    entry = machine_state.read().sandboxes.get(request.name)
    asked = None
    if request.network:
        asked = preflight.check_network(request.network, ignore=preflight.own_links(request.name))
    topology = request.topology or request.default_topology()
    line = request.line or DEFAULT_LINE
    if not build.is_built(line):
        lacking = build.missing_space(line)
        if lacking:
            raise PreflightError(lacking, "Make room first.")
    if not left_over:
        preflight.free_index(machine_state.read(), asked)
    # Nothing was changed up to here.
    if left_over:
        progress.note(f"cleaning up what is left of {request.name!r}")
        teardown.remove(request.name, Path(entry.state) if entry else state, progress)
        state = state_of(request.name)
    artifacts = build.ensure(line, report=progress)
    if not host.complete:  # programs were installed: now the kernel can be tried out with them
        preflight.check(dataclasses.replace(preflight.look(state), installer=False))
    begun = time.monotonic()
    with machine_state.changing() as known:
        index, chosen = preflight.free_index(known, asked)
        known.sandboxes[request.name] = machine_state.Entry(index, str(chosen), str(state))
        machine_state.prepare_machine(known, state)
        directories, above = list(known.directories), list(known.state_directories)
    record = sandbox_state.Record(
        name=request.name,
        index=index,
        network=str(chosen),
        topology=topology.model_dump(mode="json"),
        istio_line=line if request.mesh is not False else None,
        phase="starting",
        boot_id=sandbox_state.boot_id(),
        artifacts=dataclasses.asdict(artifacts),
        started=time.time(),
        directories=directories,
        state_directories=above,
        asked_network=request.network,
    )
    record.write(state)
    layout = record.layout(state)
    try:
        with cgroups.joined(f"{layout.cgroup}/up"):
            boot.boot(layout, artifacts, progress, mesh=record.istio_line is not None)
    except requests.RequestException as error:
        raise BootError(
            f"The API server of {request.name!r} stopped answering: {error}.", "See `meshops-sandbox logs`."
        ) from error
    finally:
        record.times = dict(progress.times)
        record.write(state)
    record.phase = "running"
    record.ready_after = round(time.monotonic() - begun, 2)
    record.write(state)
    return True


def _as_before(request: Request, record: sandbox_state.Record | None) -> Request:
    """The request, completed by what an interrupted sandbox was asked to be. One that was being taken down is over."""
    if record is None or record.phase == "stopping":
        return request
    return dataclasses.replace(
        request,
        topology=request.topology or Topology.model_validate(record.topology),
        line=request.line or record.istio_line,
        mesh=record.istio_line is not None if request.mesh is None and request.line is None else request.mesh,
        network=request.network or record.asked_network,
    )


def _has_programs(record: sandbox_state.Record, progress: Progress) -> bool:
    built = record.binaries()
    gone = [path for path in (built.kubernetes, built.istio, built.image_store) if not path.exists()]
    if gone:
        progress.note(f"{gone[0]}, which {record.name!r} was made from, is gone: it is created again")
    return not gone


def _tell_other_builds(record: sandbox_state.Record, progress: Progress) -> None:
    built = record.binaries()
    if built != build.current(built.istio_line):
        progress.note(
            f"{record.name!r} is made from other builds (Istio {built.istio_version}, Kubernetes "
            f"{built.kubernetes_version}) than this version's: `meshops-sandbox reset --name {record.name}` takes these"
        )


def _refuse_other_request(request: Request, record: sandbox_state.Record) -> None:
    other = []
    if request.topology and request.topology.model_dump(mode="json") != record.topology:
        other.append("topology")
    if request.line and record.istio_line and request.line != record.istio_line:
        other.append(f"Istio line (it has {record.istio_line})")
    if request.mesh is not None and request.mesh != (record.istio_line is not None):
        other.append("choice of Istio or none")
    if request.network and request.network != record.network:
        other.append(f"network (it has {record.network})")
    if other:
        raise PreflightError(
            f"The sandbox {request.name!r} is running with another {' and another '.join(other)}.",
            f"Take it down first (meshops-sandbox down --name {request.name}), or give another --name.",
        )


def _look_inside(common: Status, layout: Layout, record: sandbox_state.Record) -> Status:
    problems: list[str] = []
    states = Supervisor(layout).states()
    if not states:
        problems.append("supervisord does not run")
    down_ = sorted(name for name, each in states.items() if each.state not in ("RUNNING", "STARTING", "BACKOFF"))
    if down_:
        problems.append(f"not running: {', '.join(down_)}")
    ready: dict[str, bool] = {}
    halted: dict[str, str] = {}
    istiod: bool | None = None
    if states:
        api = ApiServer(layout)
        try:
            ready = {node.name: False for node in layout.nodes} | api.nodes()
            halted = node_stops.stopped(api)
            istiod = api.available("istio-system", "istiod") if record.istio_line else None
        except (requests.RequestException, OSError):
            problems.append("the API server does not answer")
    return dataclasses.replace(
        common,
        state="broken" if problems else "running",
        nodes=ready,
        stopped=halted,
        processes={name: each.state for name, each in states.items()},
        istiod=istiod,
        problems=tuple(problems),
        memory_bytes=_memory(layout),
    )


def _memory(layout: Layout) -> int:
    """Proportional set size of all processes of the sandbox, in bytes: pages shared by several are counted once."""
    total = 0
    for pid in cgroups.processes(layout.cgroup):
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue  # it ended in between
    return total
