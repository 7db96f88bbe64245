# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Envoy with many clusters, each behind a path of its own, and with the listeners that its endpoints are.

Every endpoint is an address of 127.0.0.0/8; one listener on all of them answers 200, others 503 or close.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import signal
import socket
import subprocess
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import requests

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import (
    EnvoyEndpoint,
    parse_clusters,
)

from . import programs

Json = dict[str, t.Any]
_TYPE = "type.googleapis.com/envoy"


class Broken(Exception):
    """The machinery did not work, so nothing can be said about the forecast."""


def free_port() -> int:
    """Return a TCP port that nobody uses now on any address."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Ports:
    """What endpoints can listen on: `ok` answers 200, `error` 503, `close` ends the connection, `nobody` refuses."""

    ok: int
    error: int
    close: int
    nobody: int


def _listener(name: str, address: str, port: int, network_filter: Json) -> Json:
    return {
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [{"filters": [network_filter]}],
    }


def _http(prefix: str, routes: list[Json]) -> Json:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.http.router.v3.Router",
            "dynamic_stats": False,
            "suppress_envoy_headers": True,
        },
    }
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": prefix,
            "generate_request_id": False,
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            "http_filters": [router],
        },
    }


def _forward(cluster: str) -> Json:
    kind = f"{_TYPE}.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    config = {"@type": kind, "stat_prefix": cluster, "cluster": cluster}
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": config}


def forwarding(name: str, port: int, cluster: str) -> Json:
    """Return a listener that forwards connections to a cluster, whatever they carry."""
    return _listener(name, "127.0.0.1", port, _forward(cluster))


def _answers(status: int) -> Json:
    return _http("back", [{"match": {"prefix": "/"}, "direct_response": {"status": status}}])


def bootstrap(clusters: t.Mapping[str, Json], routes: t.Mapping[str, Json], ports: Ports) -> Json:
    """Return the configuration. `routes` are what is said of a cluster's route besides the cluster (retries)."""
    front = [
        {"match": {"prefix": f"/{name}/"}, "route": {"cluster": name, "timeout": "0s", **routes.get(name, {})}}
        for name in clusters
    ]
    return {
        "node": {"id": "oracle", "cluster": "oracle"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        # The hosts' own counters, which are what is read, are no stats.
        "stats_config": {"stats_matcher": {"reject_all": True}},
        "static_resources": {
            "listeners": [
                _listener("front", "127.0.0.1", 0, _http("front", front)),
                _listener("ok", "0.0.0.0", ports.ok, _answers(200)),
                _listener("error", "0.0.0.0", ports.error, _answers(503)),
                _listener("close", "0.0.0.0", ports.close, _forward("nobody")),
            ],
            "clusters": [
                {"name": "nobody", "type": "STATIC", "load_assignment": {"cluster_name": "nobody"}},
                *clusters.values(),
            ],
        },
    }


class Load(t.NamedTuple):
    """What h2load says: requests, those answered with 2xx, and how long it took (seconds)."""

    requests: int
    ok: int
    seconds: float


class Request(t.NamedTuple):
    """One request: when it was sent (seconds since the first), its status, how long it took (seconds)."""

    sent: float
    status: int
    took: float


class Envoy:
    """A running Envoy; a context manager. `folder` is empty and gets its files."""

    def __init__(self, version: str, configuration: Json, folder: Path) -> None:
        self.folder = folder
        config = folder / "envoy.json"
        config.write_text(json.dumps(configuration), encoding="utf-8")
        self._admin = folder / "admin"
        self._log = folder / "envoy.log"
        arguments = (
            *("-c", config, "--concurrency", "1", "--disable-hot-restart", "--admin-address-path", self._admin),
            *("--log-level", "error", "--log-path", self._log),
        )
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", programs.envoy_binary(version), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait()
            listeners = self.get("/listeners?format=json").json()["listener_statuses"]
            own = next(
                listener["local_address"]["socket_address"] for listener in listeners if listener["name"] == "front"
            )
            self.port = int(own["port_value"])
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self._process.poll() is not None:
                said = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
                raise Broken(f"Envoy ended with {self._process.returncode}: {said[-2000:]}")
            with contextlib.suppress(OSError, requests.RequestException):
                if self.get("/ready").status_code == 200:
                    return
            time.sleep(0.05)
        raise Broken(f"Envoy was not ready within a minute: {self._log}")

    def get(self, path: str) -> requests.Response:
        """Ask the admin interface."""
        return requests.get(f"http://{self._admin.read_text(encoding='utf-8').strip()}{path}", timeout=30)

    def endpoints(self) -> dict[str, list[EnvoyEndpoint]]:
        """Return the hosts of each cluster."""
        by_cluster: dict[str, list[EnvoyEndpoint]] = {}
        for endpoint in parse_clusters(self.get("/clusters?format=json").text):
            by_cluster.setdefault(endpoint.cluster, []).append(endpoint)
        return by_cluster

    def send(self, names: t.Sequence[str], each: int, *, connections: int) -> Load:
        """Send `each` requests to each of the clusters, in turn; `each` is a multiple of `connections`."""
        urls = self.folder / "urls"
        urls.write_text("".join(f"http://127.0.0.1:{self.port}/{name}/\n" for name in names), encoding="utf-8")
        number = each * len(names)
        command = [programs.h2load(), "--h1", "-t1", f"-c{connections}", f"-n{number}", "-i", str(urls)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
        return _told(done.stdout, number)

    def paced(self, names: t.Sequence[str], rate: float, seconds: float) -> dict[str, list[Request]]:
        """Send requests to each of the clusters at the same time, `rate` per second each. Returns each request."""
        running = []
        for name in names:
            log = self.folder / f"{name}.log"
            number = round(rate * seconds)
            # HTTP/2, so that a request that takes long (its retries) does not hold up the next.
            command = [programs.h2load(), "-t1", "-c1", "-m100", f"--rps={rate:g}", f"-n{number}", f"--log-file={log}"]
            address = f"http://127.0.0.1:{self.port}/{name}/"
            running.append((name, log, subprocess.Popen([*command, address], stdout=subprocess.DEVNULL)))
        for _name, _log, process in running:
            if process.wait(timeout=seconds * 3 + 60):
                raise Broken(f"h2load ended with {process.returncode}.")
        return {name: _requests(log) for name, log, _process in running}

    def paced_for(self, seconds: t.Mapping[str, float], rate: float) -> dict[str, list[Request]]:
        """Send requests to paths at the same time, `rate` per second each, for so many seconds; return each request."""
        running = []
        for number, (path, length) in enumerate(seconds.items()):
            log = self.folder / f"paced-{number}.log"
            count = round(rate * length)
            command = [programs.h2load(), "-t1", "-c1", "-m100", f"--rps={rate:g}", f"-n{count}", f"--log-file={log}"]
            address = f"http://127.0.0.1:{self.port}/{path}"
            running.append((path, log, length, subprocess.Popen([*command, address], stdout=subprocess.DEVNULL)))
        for _path, _log, length, process in running:
            if process.wait(timeout=length * 3 + 60):
                raise Broken(f"h2load ended with {process.returncode}.")
        return {path: _requests(log) for path, log, _length, _process in running}

    def send_any(self, path: str, number: int) -> None:
        """Send so many requests to a path, one after the other, whatever is answered."""
        address = f"http://127.0.0.1:{self.port}/{path}"
        command = [programs.h2load(), "--h1", "-t1", "-c1", f"-n{number}", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode or f"{number} done" not in done.stdout:
            raise Broken(f"h2load did not send {number} requests: {done.stdout[-1500:]}")

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Envoy:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _told(output: str, number: int) -> Load:
    took = re.search(r"finished in ([\d.]+)(us|ms|s|m|h)\b", output)
    counted = re.search(r"requests: (\d+) total, .* (\d+) errored, (\d+) timeout", output)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if not took or not counted or not codes or [int(text) for text in counted.groups()] != [number, 0, 0]:
        raise Broken(f"h2load did not send {number} requests without errors: {output[-1500:]}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}[took[2]]
    return Load(number, int(codes[1]), float(took[1]) * unit)


def _requests(log: Path) -> list[Request]:
    rows = [line.split("\t") for line in log.read_text(encoding="utf-8").splitlines()]
    first = min(int(row[0]) for row in rows)
    return sorted(Request((int(row[0]) - first) / 1e6, int(row[1]), int(row[2]) / 1e6) for row in rows)


def many_files() -> None:
    """Let this process and its children open as many files as they may: every endpoint is two sockets."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def ports() -> Ports:
    """Return four ports that are free now."""
    return Ports(*(free_port() for _port in range(4)))


__all__ = ["Broken", "Envoy", "Load", "Ports", "Request", "bootstrap", "many_files", "ports"]
