# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stops and starts nodes as annotations of their Node objects ask for, in a process that supervisord keeps alive.

Asked for is by ASKED, a JSON object with `by` (who asks) and, where the stop has to end by itself, `seconds`. STOPPED
is the answer while the node is stopped: `by` and `until` (UTC). It goes when the node is back and its kubelet has
renewed its lease. OFFERED says that somebody does all this. The end is not asked of anybody: it comes also when the API
server is gone, and, since it stands in the firewall rules, when this process was killed meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import sys
import threading
import time
import typing as t
from datetime import UTC, datetime
from pathlib import Path

import requests

from meshops_sandbox import node_isolation, sandbox_state
from meshops_sandbox.api_server import ApiServer
from meshops_sandbox.layout import Layout

OFFERED = "meshops.locality/node-stop-offered-by"
ASKED = "meshops.locality/node-stop"
STOPPED = "meshops.locality/node-stopped"
PROGRAM = "node-agent"
_NAME = "meshops-sandbox"
_LONGEST = 86400  # seconds
_POLL = 0.5  # seconds, while something is about to change
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def asked(annotations: t.Mapping[str, str]) -> tuple[str, float] | None:
    """Who asks for a stop, and for how many seconds (infinite without an end). None when nobody does, or not in words
    that can be understood."""
    try:
        given = json.loads(annotations.get(ASKED, ""))
        seconds = float(given.get("seconds", math.inf))
        valid = isinstance(given.get("by"), str) and (seconds == math.inf or 0 < seconds <= _LONGEST)
    except (ValueError, TypeError, AttributeError):
        return None
    return (given["by"], seconds) if valid else None


def stopped_by(annotations: t.Mapping[str, str]) -> str | None:
    """By whom a node is stopped; None when it is not."""
    try:
        return str(json.loads(annotations[STOPPED])["by"])
    except (KeyError, ValueError, TypeError):
        return None


class NodeAgent:
    """Watches the Node objects of one sandbox and does what they ask for."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._api = ApiServer(layout)
        self._namespaces = {node.name: node.namespace for node in layout.nodes if node is not layout.control_plane}
        self._news: queue.Queue[str] = queue.Queue()
        self._ends = {
            name: until for name, space in self._namespaces.items() if (until := node_isolation.cut_until(space))
        }
        self._back: dict[str, float] = {}
        self._again: set[str] = set()

    def run(self) -> t.NoReturn:
        """Do that for ever."""
        threading.Thread(target=self._watch, daemon=True).start()
        while True:
            with contextlib.suppress(queue.Empty):
                self._again.add(self._news.get(timeout=self._pause()))
            for name in [name for name, until in self._ends.items() if until <= time.time()]:
                self._start(name, "its time is over")
            for name in sorted(self._again):
                if self._is_done(self._obey, name):
                    self._again.discard(name)
            for name in sorted(self._back):
                self._is_done(self._confirm, name)

    def _pause(self) -> float | None:
        """How long nothing has to be done as long as there is no news; None: for ever."""
        if self._back or self._again:
            return _POLL
        end = min(self._ends.values(), default=math.inf)
        return None if end == math.inf else max(0.0, end - time.time())

    def _watch(self) -> None:
        api = ApiServer(self._layout)
        while True:
            with contextlib.suppress(requests.RequestException, OSError, ValueError, LookupError):
                for name in api.watched_nodes():
                    self._news.put(name)
            time.sleep(_POLL)

    def _is_done(self, step: t.Callable[[str], None], name: str) -> bool:
        """Do a step for a node. What the API server does not take is done again."""
        try:
            step(name)
        except (requests.RequestException, OSError, ValueError) as error:
            _say(f"{name}: {error}")
            return False
        return True

    def _obey(self, name: str) -> None:
        annotations = self._api.get(f"/api/v1/nodes/{name}").get("metadata", {}).get("annotations") or {}
        if name not in self._namespaces or not annotations:
            return
        wanted, is_cut, answered = asked(annotations), name in self._ends, STOPPED in annotations
        if annotations.get(OFFERED) != _NAME:
            self._annotate(name, {OFFERED: _NAME})
        if wanted and not is_cut and not answered:
            self._back.pop(name, None)
            self._stop(name, *wanted)
        if wanted and not answered:
            self._answer(name, wanted[0])
        elif not wanted and is_cut:
            self._start(name, "nobody asks for its stop any more")
        elif answered and not is_cut:
            # It was started while the API server did not answer, or by an agent that was killed then.
            self._back.setdefault(name, time.time())

    def _stop(self, name: str, by: str, seconds: float) -> None:
        self._ends[name] = time.time() + seconds
        node_isolation.cut(self._namespaces[name], self._ends[name])
        _say(f"{name}: stopped by {by}" + ("" if seconds == math.inf else f" for {seconds:g} s"))

    def _answer(self, name: str, by: str) -> None:
        until = self._ends[name]
        shown = None if until == math.inf else datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._annotate(name, {STOPPED: json.dumps({"by": by, "until": shown})})

    def _start(self, name: str, why: str) -> None:
        node_isolation.reconnect(self._namespaces[name])
        self._ends.pop(name, None)
        self._back[name] = time.time()
        _say(f"{name}: started, {why}")

    def _confirm(self, name: str) -> None:
        """Take the annotations off once the kubelet has renewed its lease: until then the node may still be taken for
        lost."""
        renewed = self._api.get(f"{_LEASES}/{name}").get("spec", {}).get("renewTime", "1970-01-01T00:00:00.000000Z")
        if datetime.fromisoformat(renewed).timestamp() <= self._back[name]:
            return
        self._annotate(name, {ASKED: None, STOPPED: None})
        del self._back[name]
        _say(f"{name}: back")

    def _annotate(self, name: str, annotations: t.Mapping[str, str | None]) -> None:
        self._api.merge(f"/api/v1/nodes/{name}", {"metadata": {"annotations": annotations}})


def _say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run the agent of the sandbox whose state directory is the argument."""
    state = Path(sys.argv[1])
    record = sandbox_state.read(state)
    if record is None:
        raise SystemExit(f"{state} has no record of a sandbox.")
    NodeAgent(record.layout(state)).run()


if __name__ == "__main__":
    main()
