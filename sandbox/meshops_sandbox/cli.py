# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `meshops-sandbox`."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import click
import rich.console
import rich.table
import yaml
from pyroute2.netlink.exceptions import NetlinkError

from meshops_sandbox import __version__, build, fake_objects, lifecycle, outputs, preflight, topology
from meshops_sandbox.errors import NotRunningError, SandboxError
from meshops_sandbox.layout import check_name
from meshops_sandbox.node_command import enter_node
from meshops_sandbox.processes import tail
from meshops_sandbox.progress import Progress

_PASS_THROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
F = t.TypeVar("F", bound=t.Callable[..., t.Any])


def _name(command: F) -> F:
    return click.option(
        "--name", default="default", show_default=True, envvar="MESHOPS_SANDBOX_NAME", help="Which sandbox."
    )(command)


def _quiet(command: F) -> F:
    return click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")(command)


def _line(command: F) -> F:
    return click.option(
        "--istio", "line", type=click.Choice(build.lines()), help=f"Istio line (default {lifecycle.DEFAULT_LINE})."
    )(command)


def _explained(command: F) -> F:
    """Errors become one sentence, what to do, and an exit code."""

    @functools.wraps(command)
    def wrapped(*arguments: t.Any, **options: t.Any) -> t.Any:
        try:
            return command(*arguments, **options)
        except SandboxError as error:
            _complain(error.sentence, error.remedy, error.details)
            sys.exit(error.exit_code)
        except build.BuildError as error:
            _complain(str(error), f"The whole output is in {error.log}." if error.log else "", ())
            sys.exit(8)
        except (OSError, subprocess.SubprocessError, NetlinkError) as error:
            said = getattr(error, "stderr", None) or ""
            _complain(
                f"Unexpected: {error}.",
                "Look at `meshops-sandbox logs`; `down` takes everything away.",
                said.split("\n")[-5:],
            )
            sys.exit(1)
        except KeyboardInterrupt:
            _complain("Interrupted.", "What was begun is finished or cleaned up by the next `up` or `down`.", ())
            sys.exit(130)

    return t.cast(F, wrapped)


def _complain(sentence: str, remedy: str, details: t.Sequence[str]) -> None:
    click.secho(f"meshops-sandbox: {sentence}", err=True, fg="red" if sys.stderr.isatty() else None)
    for line in details:
        click.echo(f"  {line}", err=True)
    if remedy:
        click.echo(f"  → {remedy}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """A real Kubernetes with Istio on this machine: no Docker, no image registry.

    Exit codes: 1 other errors, 2 wrong usage, 3 the machine or the request does not fit (nothing was changed), 4
    topology file,
    5 not running, 6 another command is at work, 7 a step of `up` failed, 8 build failed, 130 interrupted.
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # `su` keeps a user's PATH, on which iptables is not.
    os.environ["PATH"] = os.pathsep.join([*path, *(each for each in _SBIN if each not in path)])


@main.command()
@_name
@click.option(
    "--topology", "file", type=click.Path(path_type=Path), help="Topology file (default: the tutorial's five nodes)."
)
@_line
@click.option("--mesh/--no-istio", default=None, help="Install Istio (the default), or a bare Kubernetes.")
@click.option("--network", envvar="MESHOPS_SANDBOX_NETWORK", help="A free private /16 (default: chosen).")
@click.option("--fresh", is_flag=True, help="Take down first whatever has this name.")
@_quiet
@_explained
def up(
    name: str,
    file: Path | None,
    line: str | None,
    mesh: bool | None,
    network: str | None,
    fresh: bool,
    quiet: bool,
) -> None:
    """Bring a sandbox up; does nothing when it is up, repairs what an interruption left."""
    request = _request(name, file, line, mesh, network, fresh)
    with Progress(quiet=quiet) as progress:
        changed = lifecycle.up(request, progress)
        if changed:
            progress.note(f'sandbox {name!r} is up: eval "$(meshops-sandbox env --name {name})"')


@main.command()
@_name
@_quiet
@click.option("--all", "every", is_flag=True, help="All sandboxes of this machine, and what earlier versions left.")
@_explained
def down(name: str, quiet: bool, every: bool) -> None:
    """Take a sandbox away: its processes, mounts, namespaces, links, firewall rules, cgroups and files."""
    with Progress(quiet=quiet) as progress:
        for each in lifecycle.names() if every else [name]:
            if lifecycle.down(each, progress):
                progress.note(f"sandbox {each!r} is gone")
            else:
                progress.note(f"there is no sandbox {each!r}")
        if every:
            lifecycle.clean(progress)


@main.command()
@_name
@_quiet
@_explained
def reset(name: str, quiet: bool) -> None:
    """Take the sandbox away and bring the same one up again, empty."""
    request = lifecycle.same_again(name, _default_topology)
    with Progress(quiet=quiet) as progress:
        lifecycle.down(name, progress)
        lifecycle.up(request, progress)


@main.command()
@_name
@click.option("--nodes", type=int, required=True, help="Fake nodes; 0 takes everything fake away.")
@click.option("--pods", type=int, help="Fake pods on them (default: 5 a node).")
@click.option("--services", type=int, help="Services of these pods (default: one for 25 pods).")
@click.option("--namespaces", type=int, default=10, show_default=True, help="Namespaces of the services.")
@click.option("--regions", type=int, default=3, show_default=True, help="Regions the nodes are spread over.")
@click.option("--zones", type=int, default=3, show_default=True, help="Zones of each region.")
@click.option("--subzones", type=int, default=4, show_default=True, help="Subzones of each zone.")
@_quiet
@_explained
def scale(name: str, nodes: int, pods: int | None, services: int | None, quiet: bool, **spread: int) -> None:
    """Fake nodes and pods (KWOK) next to the real ones, with real Services and EndpointSlices: for measuring at scale.

    The numbers are what there is afterwards, not what comes on top."""
    wanted_pods = 5 * nodes if pods is None else pods
    wanted = fake_objects.Scale(nodes, wanted_pods, -(-wanted_pods // 25) if services is None else services, **spread)
    with Progress(quiet=quiet) as progress:
        lifecycle.rescale(name, wanted, progress)
        progress.note(f"fake in {name!r}: {wanted.nodes} nodes, {wanted.pods} pods, {wanted.services} services")


@main.command(name="network-policies")
@_name
@_quiet
@_explained
def network_policies(name: str, quiet: bool) -> None:
    """Let every node enforce NetworkPolicies (kube-router); without it nothing does. It lasts until `down`."""
    with Progress(quiet=quiet) as progress:
        lifecycle.enforce_network_policies(name, progress)


@main.command()
@_name
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@_explained
def status(name: str, as_json: bool) -> None:
    """How a sandbox is. Exit code 0 when it runs, 5 when it does not."""
    state = lifecycle.status(name)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(state), indent=2))
    else:
        _print_status(state)
    if state.state != "running":
        sys.exit(NotRunningError.exit_code)


@main.command(name="list")
@_explained
def list_() -> None:
    """All sandboxes."""
    for name in lifecycle.names():
        state = lifecycle.status(name)
        click.echo(f"{name:20} {state.state:9} {state.network or '':15} {state.kubeconfig or ''}")


@main.command()
@_name
@click.option("--lines", default=20, show_default=True, help="How many lines of each.")
@click.option("--follow", "-f", is_flag=True, help="Go on as they are written.")
@click.argument("programs", nargs=-1)
@_explained
def logs(name: str, lines: int, follow: bool, programs: tuple[str, ...]) -> None:
    """Logs of processes (all of them, or those named: kubelet-beijing, etcd …)."""
    _, layout = lifecycle.recorded(name)
    present = {path.stem: path for path in sorted(layout.logs.glob("*.log"))}
    unknown = [program for program in programs if program not in present]
    if unknown:
        raise SandboxError(f"There is no log of {unknown[0]}.", f"There are: {', '.join(present)}.")
    chosen = [present[program] for program in programs or present]
    if follow:
        os.execvp("tail", ["tail", "-n", str(lines), "-F", *map(str, chosen)])
    for path in chosen:
        for line in tail(path, lines):
            click.echo(f"{path.stem}: {line}")


@main.command("audit-log")
@_name
@_explained
def audit_log(name: str) -> None:
    """Path of the API server's audit log."""
    click.echo(lifecycle.running(name)[1].audit_log)


@main.command()
@_name
@_explained
def kubeconfig(name: str) -> None:
    """Path of the kubeconfig."""
    click.echo(lifecycle.running(name)[1].kubeconfig)


@main.command()
@click.option("--name", "wanted", multiple=True, help="Only these sandboxes (default: all that run).")
@_explained
def inventory(wanted: tuple[str, ...]) -> None:
    """An Ansible inventory: every sandbox is a host."""
    chosen = wanted or [name for name in lifecycle.names() if lifecycle.is_running(name)]
    if not chosen:
        raise NotRunningError("No sandbox is running.", "Start one: meshops-sandbox up.")
    click.echo(outputs.inventory([lifecycle.running(name)[1] for name in chosen]), nl=False)


@main.command(name="topology")
@_name
@click.option(
    "--topology", "file", type=click.Path(path_type=Path), help="Of this file instead of the running sandbox."
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
@_explained
def topology_(name: str, file: Path | None, as_json: bool) -> None:
    """Where each node is meant to be: the input of the role node_topology. The nodes themselves carry no such
    labels."""
    where = topology.load(file) if file else lifecycle.running(name)[1].topology
    click.echo(
        json.dumps(where.localities(), indent=2) if as_json else yaml.safe_dump(where.localities(), sort_keys=False),
        nl=as_json,
    )


@main.command()
@_name
@_explained
def env(name: str) -> None:
    """Lines for `eval`: KUBECONFIG, K8S_AUTH_KUBECONFIG, PATH."""
    record, layout = lifecycle.running(name)
    click.echo(outputs.exports(layout, record.binaries()), nl=False)


@main.group()
def node() -> None:
    """Stop a node as a machine stops that loses its power, and start it again. `status` shows which are stopped."""


@node.command()
@_name
@click.argument("node")
@_quiet
@_explained
def stop(name: str, node: str, quiet: bool) -> None:
    """Cut NODE off at once: packets to it and from it are dropped. It is NotReady when it was silent for 50 s."""
    with Progress(quiet=quiet) as progress:
        lifecycle.stop_node(name, node, progress)


@node.command()
@_name
@click.argument("node")
@_quiet
@_explained
def start(name: str, node: str, quiet: bool) -> None:
    """Bring NODE back, also one that a drill has stopped, and wait until it is Ready."""
    with Progress(quiet=quiet) as progress:
        lifecycle.start_node(name, node, progress)


@main.command(context_settings=_PASS_THROUGH)
@_name
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@_explained
def shell(name: str, node: str, command: tuple[str, ...]) -> None:
    """A shell (or COMMAND) in the network and mounts of NODE; `ctr` and `kubectl` are set up."""
    preflight.require_root()
    record, layout = lifecycle.running(name)
    enter_node(layout, record.binaries(), node, command)


@main.command(context_settings={**_PASS_THROUGH, "help_option_names": []})
@_name
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@_explained
def kubectl(name: str, arguments: tuple[str, ...]) -> None:
    """The sandbox's kubectl (options of meshops-sandbox come before its own)."""
    record, layout = lifecycle.running(name)
    environment = {
        **outputs.environment(layout, record.binaries()),
        "KUBECACHEDIR": str(layout.state / "kubectl-cache"),
    }
    _become(record.binaries().kubernetes / "kubectl", arguments, environment)


@main.command(context_settings={**_PASS_THROUGH, "help_option_names": []})
@_name
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@_explained
def istioctl(name: str, arguments: tuple[str, ...]) -> None:
    """The sandbox's istioctl (options of meshops-sandbox come before its own)."""
    record, layout = lifecycle.running(name)
    _become(record.binaries().istio / "istioctl", arguments, outputs.environment(layout, record.binaries()))


@main.command(name="build")
@_line
@_quiet
@_explained
def build_(line: str | None, quiet: bool) -> None:
    """Build everything a sandbox is made of, without starting one."""
    with Progress(quiet=quiet) as progress:
        artifacts = build.ensure(line or lifecycle.DEFAULT_LINE, report=progress)
        progress.note(f"built: Istio {artifacts.istio_version}, Kubernetes {artifacts.kubernetes_version}")


@main.command()
@_explained
def prune() -> None:
    """Remove from the cache what the current versions do not need."""
    removed, freed = build.prune()
    for path in removed:
        click.echo(f"removed {path}")
    click.echo(f"{freed / 1024**2:.0f} MiB freed")


def _request(
    name: str, file: Path | None, line: str | None, mesh: bool | None, network: str | None, fresh: bool
) -> lifecycle.Request:
    check_name(name)
    asked = topology.load(file) if file else None
    return lifecycle.Request(name, asked, line, mesh, network, _default_topology, fresh)


def _default_topology() -> topology.Topology:
    return topology.load(topology.DEFAULT_TOPOLOGY)


def _become(program: Path, arguments: t.Sequence[str], environment: t.Mapping[str, str]) -> None:
    os.execve(program, [program.name, *arguments], {**os.environ, **environment})


def _print_status(sandbox: lifecycle.Status) -> None:
    console = rich.console.Console(highlight=False)
    console.print(
        f"{sandbox.name}: {sandbox.state}" + (f", ready after {sandbox.ready_after} s" if sandbox.ready_after else "")
    )
    for problem in sandbox.problems:
        console.print(f"  {problem}")
    if not sandbox.kubeconfig:
        return
    table = rich.table.Table(box=None, show_header=False, padding=(0, 2))
    table.add_row(
        "Istio",
        f"{sandbox.istio or 'none'}"
        + ("" if sandbox.istiod is None else f", istiod {'available' if sandbox.istiod else 'NOT available'}"),
    )
    table.add_row("API server", sandbox.api_server)
    table.add_row("kubeconfig", sandbox.kubeconfig)
    table.add_row("network", sandbox.network)
    if sandbox.memory_bytes is not None:
        table.add_row("memory", f"{sandbox.memory_bytes / 1024**3:.2f} GiB")
    table.add_row("nodes", ", ".join(f"{name}{'' if ready else ' NOT READY'}" for name, ready in sandbox.nodes.items()))
    if sandbox.stopped:
        table.add_row("stopped", ", ".join(f"{name} by {by}" for name, by in sandbox.stopped.items()))
    if sandbox.fake:
        table.add_row("fake", ", ".join(f"{number} {kind}" for kind, number in sandbox.fake.items()))
    odd = {name: state for name, state in sandbox.processes.items() if state != "RUNNING"}
    table.add_row(
        "processes",
        f"{len(sandbox.processes)} supervised" + "".join(f", {name} {state}" for name, state in odd.items()),
    )
    for step, seconds in sandbox.times.items():
        table.add_row("", f"{seconds:6.1f} s {step}")
    console.print(table)
