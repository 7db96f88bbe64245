# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of the real API server that answers some requests with faults."""

from __future__ import annotations

import json
import re
import threading
import typing as t
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import kubernetes
import pytest
import yaml


@dataclass
class Fault:
    """What happens to the next `times` requests that match: an answer of `status`, or `before` and then the real answer."""

    method: str
    path: str
    status: int = 0
    times: int = 1_000_000
    headers: dict[str, str] = field(default_factory=dict)
    before: t.Callable[[], object] | None = None


class FaultProxy:
    """`kubeconfig` leads through the proxy; `add()` arms a fault; `seen` holds "METHOD path" of every request."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        self.upstream = configuration.host.rstrip("/")
        self.pool = kubernetes.client.ApiClient(configuration).rest_client.pool_manager
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.kubeconfig = directory / "through-the-proxy.yaml"
        url = f"http://127.0.0.1:{self.server.server_port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": url}}],
            "users": [{"name": "proxy", "user": {"token": "unused"}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")

    def add(self, method: str, path: str, **more: t.Any) -> None:
        """Arm a fault for requests whose path matches the regular expression."""
        self.faults.append(Fault(method, path, **more))

    def _take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.seen.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = proxy._take(self.command, self.path)
                if fault and fault.before:
                    fault.before()
                if fault and fault.status:
                    message = {"kind": "Status", "message": "a fault of the test", "code": fault.status}
                    self.send(fault.status, json.dumps(message).encode(), fault.headers)
                    return
                passed = ("Accept", "Content-Type", "Impersonate-User", "Impersonate-Group")
                headers = {name: self.headers[name] for name in passed if name in self.headers}
                got = proxy.pool.request(
                    self.command, proxy.upstream + self.path, body=body or None, headers=headers, retries=False
                )
                self.send(got.status, got.data, {"Content-Type": got.headers.get("Content-Type", "")})

            def send(self, status: int, body: bytes, headers: t.Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        return Handler


@pytest.fixture
def fault_proxy(kubeconfig: Path, tmp_path: Path) -> t.Iterator[FaultProxy]:
    """The real API server behind a proxy that can be told to misbehave."""
    proxy = FaultProxy(kubeconfig, tmp_path)
    yield proxy
    proxy.server.shutdown()
    proxy.server.server_close()
