# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The topology file: which nodes there are, what role they have, and where each of them is meant to be.

The sandbox itself never labels a node with its region, zone or subzone: that is the collection's work. The map is
only handed on.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pydantic
import yaml

from meshops_sandbox.errors import TopologyError

TOPOLOGIES = Path(__file__).resolve().parent.parent / "topologies"
DEFAULT_TOPOLOGY = TOPOLOGIES / "default.yml"

# A label value of Kubernetes; Istio reads region, zone and subzone from label values.
_LABEL_VALUE = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
# A node name is a DNS label here (no dots): it becomes part of the name of a network namespace.
_NODE_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$")
_LABEL_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
MAX_NODES = 60


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Taint(_Strict):
    """A taint the node registers with, spelled as in Kubernetes."""

    key: str
    value: str = ""
    effect: t.Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]

    @pydantic.field_validator("key")
    @classmethod
    def _legal_key(cls, key: str) -> str:
        if not _LABEL_KEY.match(key):
            raise ValueError(f"{key!r} is not a legal taint key")
        return key

    @pydantic.field_validator("value")
    @classmethod
    def _legal_value(cls, value: str) -> str:
        if value and not _LABEL_VALUE.match(value):
            raise ValueError(f"{value!r} is not a legal taint value")
        return value


class Node(_Strict):
    """One node. `region`, `zone` and `subzone` are where it is meant to be (None: nowhere, it gets no labels)."""

    name: str
    role: t.Literal["control-plane", "worker"] = "worker"
    region: str | None = None
    zone: str | None = None
    subzone: str | None = None
    taints: tuple[Taint, ...] = ()

    @pydantic.field_validator("name")
    @classmethod
    def _legal_name(cls, name: str) -> str:
        if not _NODE_NAME.match(name):
            raise ValueError(
                f"{name!r} is not a legal node name (lower case letters, digits and '-', at most 32 characters)"
            )
        return name

    @pydantic.field_validator("region", "zone", "subzone")
    @classmethod
    def _legal_label(cls, value: str | None) -> str | None:
        if value is not None and not _LABEL_VALUE.match(value):
            raise ValueError(
                f"{value!r} is not a legal label value (letters, digits, '-', '_', '.', at most 63 characters)"
            )
        return value

    @pydantic.model_validator(mode="after")
    def _nested(self) -> Node:
        if self.zone is not None and self.region is None:
            raise ValueError("a zone needs a region")
        if self.subzone is not None and self.zone is None:
            raise ValueError("a subzone needs a zone")
        return self

    @property
    def locality(self) -> dict[str, str]:
        """{region, zone, subzone}, only the parts that are set."""
        parts = {"region": self.region, "zone": self.zone, "subzone": self.subzone}
        return {part: value for part, value in parts.items() if value is not None}


class Topology(_Strict):
    """All nodes of one sandbox. Exactly one of them is the control plane."""

    nodes: tuple[Node, ...] = pydantic.Field(max_length=MAX_NODES)

    @pydantic.model_validator(mode="after")
    def _one_control_plane(self) -> Topology:
        names = [node.name for node in self.nodes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"node {twice[0]!r} is listed twice")
        planes = [node.name for node in self.nodes if node.role == "control-plane"]
        if len(planes) != 1:
            listed = ", ".join(planes) if planes else "none"
            raise ValueError(f"exactly one node must have the role control-plane, found {listed}")
        return self

    @property
    def control_plane(self) -> Node:
        return next(node for node in self.nodes if node.role == "control-plane")

    def localities(self) -> dict[str, dict[str, str]]:
        """{node name: {region, zone, subzone}} of all nodes that are meant to be somewhere: the input of the role
        `node_topology`."""
        return {node.name: node.locality for node in self.nodes if node.locality}


def load(path: Path) -> Topology:
    """Read and check the topology file at `path`. Raises TopologyError with the file, the place in it and what is
    wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TopologyError(
            f"The topology file {path} cannot be read: {error.strerror}.",
            f"Give an existing file with --topology, for example {DEFAULT_TOPOLOGY}.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise TopologyError(
            f"The topology file {path} is not YAML{line}: {getattr(error, 'problem', error)}."
        ) from error
    return parse(content, str(path))


def parse(content: object, source: str) -> Topology:
    """Check what was read from `source`. Raises TopologyError naming every place that is wrong."""
    try:
        return Topology.model_validate(content)
    except pydantic.ValidationError as error:
        findings = [f"{_place(item['loc'], content)}: {_sentence(item)}" for item in error.errors()]
        raise TopologyError(
            f"The topology file {source} is not valid: {findings[0]}.",
            f"Compare it with {DEFAULT_TOPOLOGY}.",
            findings[1:],
        ) from error


def _sentence(item: t.Any) -> str:
    if item["type"] == "extra_forbidden":
        return "this key is not known"
    return str(item["msg"]).removeprefix("Value error, ")


def _place(location: tuple[int | str, ...], content: object) -> str:
    """`nodes[2] (tianjin).zone` instead of a tuple."""
    text = ""
    current: t.Any = content
    for part in location:
        try:
            current = current[part]
        except (KeyError, IndexError, TypeError):
            current = None
        if isinstance(part, int):
            name = current.get("name") if isinstance(current, dict) else None
            text += f"[{part}]" + (f" ({name})" if name else "")
        else:
            text += ("." if text else "") + part
    return text or "the file"
