# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client that shows whether a pod's sidecar answers (option verify_from of listener_drain).

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError, InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import Exited, lacks_program, run
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy, read_proxies

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Visitor:
    """Where requests that verify a pod come from, and what they ask for."""

    proxy: Proxy
    container: str
    port: int | None
    path: str

    def port_of(self, target: Proxy) -> int:
        """Return the port to ask. Raises InvalidInput when none is given and the pod declares none."""
        port = self.port or target.port
        if port is None:
            raise InvalidInput(f"Pod {target.where} declares no port.", do="Give verify_from.port.")
        return port

    def visit(self, cluster: Cluster, target: Proxy) -> tuple[int, str]:
        """Send one request to this very pod's address; return the status (0: no answer) and the sentence about it."""
        host = f"[{target.address}]" if ":" in target.address else target.address
        url = f"http://{host}:{self.port_of(target)}{self.path}"
        done = self.curl(cluster, "-gs", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", url)
        code = done.stdout.strip()[-3:]
        status = int(code) if code.isdigit() else 0
        return status, f"{self.proxy.where} asked {url} and got {f'status {status}' if status else 'no answer'}."

    def curl(self, cluster: Cluster, *words: str) -> Exited:
        """Run curl in the client. Raises InvalidInput when the container has none."""
        try:
            return run(cluster, self.proxy.namespace, self.proxy.pod, self.container, ["curl", *words], seconds=15)
        except ClusterError as error:
            if lacks_program(error):
                raise InvalidInput(
                    f"Container {self.container} of pod {self.proxy.where} has no curl.",
                    do="Name another one in verify_from.",
                ) from error
            raise


def find_visitor(cluster: Cluster, given: Params, namespace: str) -> Visitor:
    """Return the client that the option verify_from names, after seeing that its container has curl.

    `namespace` is used when `given` has none. Raises InvalidInput or NotFound, naming the suboption.
    """
    if bool(given["pod"]) == bool(given["label_selector"]):
        raise InvalidInput("verify_from needs exactly one of pod and label_selector.")
    if not given["path"].startswith("/"):
        raise InvalidInput(f"verify_from.path is {given['path']!r}; it must start with a slash.")
    proxies = read_proxies(
        cluster, given["namespace"] or namespace, [given["pod"]] if given["pod"] else None, given["label_selector"]
    )
    proxy = next((candidate for candidate in proxies if candidate.ready or not candidate.kind), proxies[0])
    container = given["container"] or proxy.default_container
    if container not in proxy.containers:
        raise InvalidInput(
            f"verify_from: pod {proxy.where} has no container {container}.", do=f"It has {', '.join(proxy.containers)}."
        )
    visitor = Visitor(proxy, container, given["port"], given["path"])
    visitor.curl(cluster, "--version")
    return visitor
