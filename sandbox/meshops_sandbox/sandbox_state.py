# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of one sandbox, in its state directory: how it was asked for, how far it got, how long each
step took."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import typing as t
from pathlib import Path

from meshops_sandbox import build, nodes
from meshops_sandbox.layout import Layout
from meshops_sandbox.processes import Program
from meshops_sandbox.topology import Topology

FILE = "sandbox.json"


@dataclasses.dataclass
class Record:
    """phase: starting until everything is ready, then running; stopping while it is removed. times: {step: seconds}
    of the last `up`.

    istio_line is None for a sandbox without Istio, asked_network when the network was chosen for the user.
    boot_id tells whether the machine was restarted since.
    scale: what was asked of `scale` last (fields of fake_objects.Scale) and `kwok`, the directory of its build;
    None when nothing is fake. kube_router: the directory of its build where NetworkPolicies are enforced, else None.
    directories and state_directories are those made on the machine for the sandboxes: the registry forgets them when it
    is restarted."""

    name: str
    index: int
    network: str
    topology: dict[str, t.Any]
    istio_line: str | None
    phase: t.Literal["starting", "running", "stopping"]
    boot_id: str
    artifacts: dict[str, t.Any]
    started: float
    times: dict[str, float] = dataclasses.field(default_factory=dict)
    ready_after: float | None = None
    directories: list[str] = dataclasses.field(default_factory=list)
    state_directories: list[str] = dataclasses.field(default_factory=list)
    asked_network: str | None = None
    scale: dict[str, t.Any] | None = None
    kube_router: str | None = None

    @property
    def kwok(self) -> Path | None:
        return Path(self.scale["kwok"]) if self.scale else None

    def programs(self, state: Path) -> list[Program]:
        """Everything supervisord keeps alive in this sandbox."""
        router = Path(self.kube_router) if self.kube_router else None
        return nodes.programs(self.layout(state), self.binaries(), self.kwok, router)

    def layout(self, state: Path) -> Layout:
        return Layout(
            self.name, self.index, ipaddress.IPv4Network(self.network), Topology.model_validate(self.topology), state
        )

    def binaries(self) -> build.Artifacts:
        fields = dict(self.artifacts)
        for key in ("kubernetes", "istio", "image_store"):
            fields[key] = Path(fields[key])
        return build.Artifacts(**fields)

    def write(self, state: Path) -> None:
        """Write it whole or not at all."""
        state.mkdir(parents=True, exist_ok=True)
        fresh = state / f"{FILE}.new"
        fresh.write_text(json.dumps(dataclasses.asdict(self), indent=1, default=str), encoding="utf-8")
        fresh.replace(state / FILE)


def read(state: Path) -> Record | None:
    """The record in the directory `state`, None when there is none or none that this version understands."""
    try:
        record = Record(**json.loads((state / FILE).read_text(encoding="utf-8")))
        record.layout(state)
        record.binaries()
    except (OSError, ValueError, TypeError, KeyError):  # pydantic's and json's errors are ValueErrors
        return None
    return record


def is_stale(state: Path) -> bool:
    """Whether there is a record that cannot be read: another version wrote it, or it is damaged."""
    return (state / FILE).exists() and read(state) is None


def is_of(state: Path, name: str) -> bool:
    """Whether the directory `state` says of itself that it is the state of the sandbox `name`, of whatever version."""
    try:
        written = json.loads((state / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(written, dict) and written.get("name") == name


def boot_id() -> str:
    """Changes with every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
