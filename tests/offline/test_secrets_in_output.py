# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens planted in every source of credentials, and looked for in everything that ansible-playbook -vvv prints and
that drills write: where nobody listens, and where commands in pods fail with an answer that repeats the credentials.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import itertools
import json
import subprocess
import sys
import threading
import typing as t
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from tests.conftest import BIN, ROOT, ansible_environment

Json = dict[str, t.Any]

#: Nobody listens there; the tokens are found in errors of libraries, in invocations and in results alike.
HOST = "https://127.0.0.1:1"
READS: list[tuple[str, Json]] = [
    ("endpoints_info", {"namespace": "s", "label_selector": "a=b", "service_host": "h"}),
    ("topology_info", {"all_namespaces": True}),
    ("workloads_info", {"namespace": "s"}),
    ("workloads", {"definitions": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "s"}}]}),
    ("listener_drain", {"namespace": "s", "pods": ["p"]}),
    ("node_topology", {"nodes": {"n": {"zone": "z"}}}),
    ("failover_policy", {"namespace": "s", "service_host": "h"}),
    ("traffic_probe", {"namespace": "s", "pod": "p", "url": "http://h/"}),
    ("failover_restore", {"all_namespaces": True, "wait_timeout": 1}),
    ("failover_drill_info", {"all_namespaces": True}),
    ("cluster_object", {"kind": "Node"}),
    ("failover_drill", {"namespace": "s", "service": "h", "scope": ["pod p"], "clients": [{"pod": "c"}]}),
    ("mesh_query", {"all_namespaces": True, "questions": {"plan": {}}}),
]
#: So many tasks are in one play: they are done in its time on a busy machine, too.
TASKS = 20
#: What asks no API server.
WITHOUT_CLUSTER = {"drill_report", "known_variables", "print_text"}


class Planted:
    """Makes tokens, and remembers them: each is long, random enough, and awkward in its own way."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def __call__(self, name: str) -> str:
        token = f"planted-{name}-%2F/+{len(self.tokens):04d}=="
        self.tokens.append(token)
        return token


def kubeconfig_of(host: str, user: Json, **cluster: t.Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": host, **cluster}}],
        "users": [{"name": "c", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }


def sources(plant: Planted, folder: Path, host: str = HOST) -> list[tuple[Json, Json]]:
    """Return (options, environment) for every source of a secret."""

    def kubeconfig(user: Json, **cluster: t.Any) -> Json:
        return kubeconfig_of(host, user, **cluster)

    script = folder / "plugin"
    script.write_text(
        "#!/bin/sh\n"
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        f' "status": {{"token": {json.dumps(plant("plugins-answer"))}}}}}\'\n'
    )
    script.chmod(0o700)
    plugin = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(script),
            "args": [f"--token={plant('argument')}", "--password", plant("word")],
            "env": [{"name": "AWS_SECRET", "value": plant("plugins-env")}],
            "interactiveMode": "Never",
        }
    }
    complaining = folder / "complaining"
    complaining.write_text(f"#!/bin/sh\necho 'refused: token {plant('plugins-complaint')}' >&2\nexit 1\n")
    complaining.chmod(0o700)
    # It answers in a version that was not asked for.
    wrong = folder / "wrong"
    wrong.write_text(script.read_text().replace("io/v1", "io/v7").replace("plugins-answer", "plugins-wrong-answer"))
    wrong.chmod(0o700)
    plant.tokens.append(plant.tokens[0].replace("plugins-answer", "plugins-wrong-answer"))
    bare = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    oidc = {"idp-issuer-url": host, "client-id": "c", "client-secret": plant("client-secret")}
    oidc |= {"id-token": f"a.{base64.b64encode(b'{}').decode()}.{plant('id-token')}", "refresh-token": plant("refresh")}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(kubeconfig({"token": plant("file") + "\n"})), encoding="utf-8")
    broken = folder / "broken"
    broken.write_text(f"users:\n- user:\n    token: {plant('broken')}\n  x: [\n", encoding="utf-8")

    def address(name: str, url: str = "http://127.0.0.1:1") -> str:
        return url.replace("://", f"://ann:{quote(plant(name), safe='')}@")

    return [
        ({"host": host, "api_key": plant("option") + "\n"}, {}),
        ({"host": host, "api_key": plant("two-lines") + "\nx"}, {}),
        ({"host": host, "username": "ann", "password": plant("password")}, {}),
        ({"host": address("url", host)}, {}),
        ({"host": host, "proxy": address("proxy")}, {}),
        ({"host": host, "proxy": address("bare-proxy").partition("://")[2]}, {}),
        ({"host": host, "proxy_headers": {"proxy_basic_auth": f"ann:{plant('header')}"}}, {}),
        ({"host": host, "proxy_headers": {"basic_auth": f"ann:{plant('basic-header')}"}}, {}),
        ({"kubeconfig": kubeconfig({"token": plant("dictionary")})}, {}),
        ({"kubeconfig": kubeconfig(plugin)}, {}),
        ({"kubeconfig": kubeconfig({"exec": {**bare, "command": str(complaining)}})}, {}),
        ({"kubeconfig": kubeconfig({"exec": {**bare, "command": str(wrong)}})}, {}),
        ({"kubeconfig": kubeconfig({"auth-provider": {"name": "oidc", "config": oidc}})}, {}),
        ({"kubeconfig": kubeconfig({"username": "ann", "password": plant("kubeconfigs-password")})}, {}),
        ({"kubeconfig": kubeconfig({"client-key-data": plant("key"), "client-certificate-data": "x"})}, {}),
        ({"kubeconfig": kubeconfig({}, **{"proxy-url": address("proxy-url")})}, {}),
        ({"kubeconfig": str(file)}, {}),
        ({"kubeconfig": str(broken)}, {}),
        ({"host": host}, {"K8S_AUTH_API_KEY": plant("environment") + "\n"}),
        ({"host": host}, {"K8S_AUTH_USERNAME": "ann", "K8S_AUTH_PASSWORD": plant("environments-password")}),
        ({}, {"K8S_AUTH_KUBECONFIG": str(file)}),
        ({}, {"KUBECONFIG": str(file)}),
        (
            {},
            {
                "K8S_AUTH_HOST": address("environments-host", host),
                "K8S_AUTH_PROXY_HEADERS_BASIC_AUTH": f"ann:{plant('environments-header')}",
            },
        ),
        (
            {"host": host},
            {
                "K8S_AUTH_PROXY": address("environments-proxy"),
                "K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH": f"ann:{plant('environments-proxy-header')}",
                "HTTPS_PROXY": address("https-proxy"),
                "HTTP_PROXY": address("http-proxy"),
            },
        ),
    ]


@pytest.fixture
def plant() -> Planted:
    return Planted()


def by_name(value: t.Any, variables: list[str]) -> t.Any:
    """Return options with variables instead of secrets, as from a vault: Ansible shows the lines of a failed task."""
    if isinstance(value, dict):
        return {key: by_name(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [by_name(inner, variables) for inner in value]
    if isinstance(value, str) and "planted-" in value:
        variables.append(value)
        return f"{{{{ secrets[{len(variables) - 1}] }}}}"
    return value


def run(tasks: list[Json], home: Path, environment: Json) -> str:
    """Run tasks; return everything that was printed, and what drills wrote until now."""
    book = home / "play.yml"
    variables: list[str] = []
    play = by_name(tasks, variables)
    book.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": play}]), encoding="utf-8")
    return run_book(book, {"secrets": variables}, home, environment)


def run_book(book: Path, variables: Json, home: Path, environment: Json) -> str:
    vault = home / "vault.json"
    vault.write_text(json.dumps(variables), encoding="utf-8")
    command = [str(BIN / "ansible-playbook"), "-vvv", "-i", "localhost,", "-c", "local", "--diff"]
    command += ["-e", f"@{vault}", str(book)]
    settings = {
        **ansible_environment(home, environment),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=300, check=False)
    written = [file.read_text(encoding="utf-8") for file in sorted(home.glob("drills/*/*"))]
    return "".join((done.stdout, done.stderr, *written))


def options_of(module: str, wanted: Json, plant: Planted, folder: Path) -> Json:
    """Return a module's options, with what it may be given a password in."""
    if module not in ("traffic_probe", "failover_drill"):
        return wanted
    asked = {"url": f"http://ann:{quote(plant('asked'), safe='')}@h/"}
    return wanted | asked | ({"evidence": str(folder / "drills")} if module == "failover_drill" else {})


def spelt(token: str) -> list[str]:
    """Return how a token may look in an output, as far as it is still the token."""
    packed = base64.b64encode(f"ann:{token}".encode()).decode()
    return [token, quote(token, safe=""), quote(token), json.dumps(token)[1:-1], packed]


def test_every_module_that_has_credentials_is_here() -> None:
    there = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert {module for module, _options in READS} == there - WITHOUT_CLUSTER


def test_no_planted_token_is_printed(plant: Planted, tmp_path: Path) -> None:
    """Each source meets a module; the sources of the environment are in one run each, as a shell would set them."""
    cases = sources(plant, tmp_path)
    tasks: list[Json] = []
    runs: list[tuple[list[Json], Json]] = []
    for number, (options, environment) in enumerate(cases):
        module, wanted = READS[number % len(READS)]
        given = {**options_of(module, wanted, plant, tmp_path), **options, "api_timeout": 0}
        task = {f"meshops.locality.{module}": given, "ignore_errors": True}
        if environment:
            runs.append(([task], environment))
        else:
            tasks.append(task)
    printed = "".join(run(play, tmp_path, environment) for play, environment in [(tasks, {}), *runs])
    assert printed.count("fatal:") + printed.count('"failed": true') >= len(cases), printed[-3000:]
    leaked = [token for token in plant.tokens for text in spelt(token) if text in printed]
    assert leaked == [], "".join(line for line in printed.splitlines(True) if "planted-" in line)[:3000]


POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "s", "uid": "p", "labels": {"a": "b"}},
    "spec": {"nodeName": "n", "containers": [{"name": "web"}, {"name": "istio-proxy"}]},
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "containerStatuses": [
            {"name": name, "ready": True, "restartCount": 0, "state": {"running": {}}}
            for name in ("web", "istio-proxy")
        ],
    },
}
SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "h", "namespace": "s", "uid": "h"},
    "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
}
#: A client of the Service that has only POD behind it.
ASKS: Json = {**POD, "metadata": {**POD["metadata"], "name": "c", "uid": "c", "labels": {}}}
LISTED: dict[str, list[Json]] = {
    "pods": [POD, ASKS],
    "nodes": [{"metadata": {"name": "n", "labels": {}}}],
    "endpointslices": [{"endpoints": [{"targetRef": {"uid": "p"}, "conditions": {"ready": True}}]}],
}
#: How a command in a pod fails. Each repeats the credentials of the request wherever it can.
FAILURES = (
    "forbidden",
    "server error",
    "page",
    "redirect",
    "wrong handshake",
    "exit code",
    "not run",
    "no JSON",
    "broken frame",
    "cut",
)


class Repeating(http.server.BaseHTTPRequestHandler):
    """An API server with one pod, in which every command fails in the next of the ways."""

    protocol_version = "HTTP/1.1"
    ways: t.ClassVar[t.Iterator[str]] = itertools.cycle(FAILURES)
    met: t.ClassVar[set[str]] = set()
    #: What reports were sent with.
    put: t.ClassVar[list[str]] = []

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/exec"):
            self.close_connection = True
            self.fail(next(self.ways))
        elif path.endswith(("/pods/p", "/pods/c")):
            self.answer(200, json.dumps(POD if path.endswith("p") else ASKS))
        elif path.endswith("/services/h"):
            self.answer(200, json.dumps(SERVICE))
        else:
            items = LISTED.get(path.rpartition("/")[2], [])
            self.answer(200, json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.put.append(self.headers.get("Authorization", ""))
        self.answer(201, f"with {self.put[-1]}")

    def answer(self, status: int, text: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        data = text.encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def fail(self, way: str) -> None:
        sent = self.headers.get("Authorization", "")
        self.met.add(way)
        status = {"kind": "Status", "metadata": {}, "status": "Failure", "message": f"not with {sent}", "code": 500}
        if way == "forbidden":
            self.answer(403, json.dumps(status), X_Sent=sent)
        elif way == "server error":
            self.answer(500, json.dumps(status), X_Sent=sent)
        elif way == "page":
            self.answer(200, f"<html><body>not with {sent}</body></html>", X_Sent=sent)
        elif way == "redirect":
            self.answer(302, "", Location=f"http://127.0.0.1:1/?with={quote(sent)}", X_Sent=sent)
        elif way == "wrong handshake":
            self.switch(sent, key="wrong")
        elif way != "cut":
            self.switch(sent)
            self.wfile.write(frame(2, f"refused: {sent}"))
            if way == "exit code":
                end = {**status, "reason": "NonZeroExitCode", "details": {"causes": [{"message": "1"}]}}
                self.wfile.write(frame(3, json.dumps(end)))
            elif way == "not run":
                self.wfile.write(frame(3, json.dumps(status)))
            elif way == "no JSON":
                self.wfile.write(frame(3, f"not with {sent}"))
            else:
                self.wfile.write(b"\xff\xff" + sent.encode())

    def switch(self, sent: str, key: str = "") -> None:
        digest = hashlib.sha1(
            self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False
        )
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", key or base64.b64encode(digest.digest()).decode())
        self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.send_header("X-Sent", sent)
        self.end_headers()

    def log_message(self, *_unused: object) -> None:
        pass


def frame(channel: int, text: str) -> bytes:
    """Return a binary frame of a websocket, not masked, as a server sends it."""
    data = bytes([channel]) + text.encode()
    return b"\x82\x7e" + len(data).to_bytes(2, "big") + data


@pytest.fixture
def repeating() -> t.Iterator[str]:
    """The address of an API server whose commands fail."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repeating)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_no_planted_token_comes_back_from_a_command_in_a_pod(plant: Planted, tmp_path: Path, repeating: str) -> None:
    """What enters pods meets each failure with each source of credentials that gets so far."""
    modules: list[tuple[str, Json]] = [
        ("endpoints_info", {"namespace": "s", "pods": ["p"]}),
        ("listener_drain", {"namespace": "s", "pods": ["p"]}),
        ("traffic_probe", {"namespace": "s", "pod": "p", "requests": 1}),
        ("failover_drill", dict(READS)["failover_drill"]),
    ]
    tasks: list[Json] = []
    runs: list[tuple[list[Json], Json]] = []
    for options, environment in sources(plant, tmp_path, repeating):
        own = [
            {
                f"meshops.locality.{module}": {
                    **options_of(module, wanted, plant, tmp_path),
                    **options,
                    "api_timeout": 0,
                },
                "ignore_errors": True,
            }
            for module, wanted in modules
        ]
        if environment:
            runs.append((own, environment))
        else:
            tasks += own
    runs += [(tasks[start : start + TASKS], {}) for start in range(0, len(tasks), TASKS)]
    printed = "".join(run(play, tmp_path, environment) for play, environment in runs)
    assert Repeating.met == set(FAILURES)
    for words in ("refused: ", "not with ", "is not followed"):
        assert words in printed, words
    leaked = [token for token in plant.tokens for text in spelt(token) if text in printed]
    assert leaked == [], "".join(line for line in printed.splitlines(True) if "planted-" in line)[:3000]


def test_a_published_drill_shows_no_token(plant: Planted, tmp_path: Path, repeating: str) -> None:
    """The playbook shows lines while it runs, prints the outcome, and sends the evidence with a token of its own."""
    file, known = tmp_path / "kubeconfig", plant("file")
    file.write_text(yaml.safe_dump(kubeconfig_of(repeating, {"token": known})), encoding="utf-8")
    place = repeating.replace("://", f"://ann:{quote(plant('publish-url'), safe='')}@")
    token = plant("publish")
    variables = {
        "failover_drill_namespace": "s",
        "failover_drill_service": "h",
        "failover_drill_scope": "pod p",
        "failover_drill_clients": [{"pod": "c"}],
        "failover_drill_url": f"http://ann:{quote(plant('asked'), safe='')}@h/",
        # Where nothing else takes it for a credential.
        "failover_drill_title": f"Lost to {known} and back",
        "failover_drill_evidence": str(tmp_path / "drills"),
        "publish_url": f"{place}/reports",
    }
    environment = {"K8S_AUTH_KUBECONFIG": str(file), "LOCALITY_PUBLISH_TOKEN": token}
    Repeating.ways = itertools.cycle(["exit code"])
    printed = run_book(ROOT / "playbooks" / "drill.yml", variables, tmp_path, environment)
    Repeating.ways = itertools.cycle(FAILURES)
    masked_title = '"title": "Lost to ******** and back"'
    for words in ("localhost:     0.", "REFUSED: ", "refused: ", f"{repeating}/reports/", masked_title):
        assert words in printed, printed[-3000:]
    assert Repeating.put == [f"Bearer {token}"] * 2
    leaked = [token for token in plant.tokens for text in spelt(token) if text in printed]
    assert leaked == [], "".join(line for line in printed.splitlines(True) if "planted-" in line)[:3000]


def test_a_token_would_be_found(plant: Planted, tmp_path: Path) -> None:
    """The search itself."""
    token = plant("debug")
    printed = run([{"ansible.builtin.debug": {"msg": token}}], tmp_path, {})
    assert any(text in printed for text in spelt(token))
