# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the node agent to stop and to start nodes, and says which are stopped."""

from __future__ import annotations

import json
import time
import typing as t

import requests

from meshops_sandbox.api_server import ApiServer
from meshops_sandbox.errors import BootError, SandboxError
from meshops_sandbox.fake_objects import LABEL
from meshops_sandbox.layout import Layout, NodeLayout
from meshops_sandbox.node_agent import ASKED, OFFERED, PROGRAM, STOPPED, stopped_by
from meshops_sandbox.processes import tail
from meshops_sandbox.progress import Progress
from meshops_sandbox.time_limits import stretched

_BY = "meshops-sandbox node stop"
_STOP_SECONDS, _START_SECONDS = 15, 90


def stopped(api: ApiServer) -> dict[str, str]:
    """{node: by whom it is stopped} of the real nodes. Raises requests.RequestException as ApiServer does."""
    listed = api.metadata("/api/v1/nodes", f"!{LABEL}")
    by = {item["metadata"]["name"]: stopped_by(_annotations(item)) for item in listed}
    return {name: who for name, who in by.items() if who is not None}


def stop(layout: Layout, node: NodeLayout, progress: Progress) -> None:
    """Have a node stopped, until somebody starts it. One that is stopped already stays so.

    Raises SandboxError for the control plane and in a sandbox without the agent, BootError when it does nothing."""
    if node is layout.control_plane:
        raise SandboxError(
            f"{node.name} is the control plane: without it nothing could start it again.", "Stop another node."
        )
    api = ApiServer(layout)
    annotations = _read(api, node)
    by = stopped_by(annotations)
    if by is not None and ASKED not in annotations:
        raise SandboxError(f"Node {node.name} is just being started.", "Stop it when it is Ready.")
    if by is not None:
        progress.note(f"node {node.name} is stopped already, by {by}")
        return
    if OFFERED not in annotations:
        raise SandboxError(
            f"Nothing stops the nodes of {layout.name!r}: {PROGRAM} has never run there.",
            f"A sandbox of an earlier version has none: meshops-sandbox reset --name {layout.name}.",
        )
    if ASKED not in annotations:
        _ask(api, node, json.dumps({"by": _BY}))
    _wait(layout, node, lambda: stopped_by(_read(api, node)) is not None, _STOP_SECONDS, "is not stopped")
    progress.note(f"node {node.name} is stopped; start it: meshops-sandbox node start --name {layout.name} {node.name}")


def start(layout: Layout, node: NodeLayout, progress: Progress) -> None:
    """Have a node started, whoever stopped it, and wait until its kubelet has been heard of and it is Ready.

    Raises BootError when it does not come back."""
    api = ApiServer(layout)
    if not {ASKED, STOPPED} & _read(api, node).keys():
        progress.note(f"node {node.name} is not stopped")
        return
    _ask(api, node, None)

    def is_back() -> bool:
        return STOPPED not in _read(api, node) and api.nodes().get(node.name, False)

    _wait(layout, node, is_back, _START_SECONDS, "is not Ready")
    progress.note(f"node {node.name} is Ready")


def _read(api: ApiServer, node: NodeLayout) -> dict[str, str]:
    return _annotations(api.get(f"/api/v1/nodes/{node.name}"))


def _annotations(item: dict[str, t.Any]) -> dict[str, str]:
    return item.get("metadata", {}).get("annotations") or {}


def _ask(api: ApiServer, node: NodeLayout, wanted: str | None) -> None:
    api.merge(f"/api/v1/nodes/{node.name}", {"metadata": {"annotations": {ASKED: wanted}}})


def _wait(layout: Layout, node: NodeLayout, condition: t.Callable[[], bool], seconds: float, what: str) -> None:
    limit = stretched(seconds)
    deadline = time.monotonic() + limit
    last = ""
    while True:
        try:
            if condition():
                return
        except (requests.RequestException, OSError) as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise BootError(
                f"Node {node.name} {what} after {limit:.0f} s.",
                f"See `meshops-sandbox logs --name {layout.name} {PROGRAM} kubelet-{node.name}`.",
                ([last] if last else []) + tail(layout.logs / f"{PROGRAM}.log", 4),
            )
        time.sleep(0.2)
