# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a scripted HTTP server: what is sent, what is tried again, what a user is told."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import kubernetes
import pytest
import urllib3
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.meshops.locality.plugins.doc_fragments.auth import ModuleDocFragment
from ansible_collections.meshops.locality.plugins.module_utils import _errors
from ansible_collections.meshops.locality.plugins.module_utils._kube import client
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import DESTINATION_RULE, NODE, POD
from ansible_collections.meshops.locality.plugins.module_utils._module_runner import AUTH_SPEC, kubeconfig_secrets

ONE, TWO = {"n": 1}, {"n": 2}


class Asked(t.NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: urllib3.HTTPHeaderDict
    body: t.Any


class Script:
    """Answers in order; the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, t.Any, dict[str, str]]] = []
        self.asked: list[Asked] = []

    def says(self, status: int, body: t.Any = None, **headers: str) -> Script:
        self.answers.append((status, body, headers))
        return self


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def cluster(script: Script) -> t.Iterator[Cluster]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            url = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            script.asked.append(
                Asked(
                    self.command,
                    url.path,
                    query,
                    urllib3.HTTPHeaderDict(self.headers.items()),
                    json.loads(sent) if sent else None,
                )
            )
            status, body, headers = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = do_DELETE = do_POST = _answer  # noqa: N815

        def log_message(self, *_unused: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    configuration = kubernetes.client.Configuration()
    configuration.host = f"http://127.0.0.1:{server.server_port}"
    configuration.api_key = {"authorization": "Bearer secret"}
    yield Cluster(
        kubernetes.client.ApiClient(configuration),
        {"Impersonate-User": "ann", "Impersonate-Group": ["a", "b"]},
    )
    server.shutdown()
    server.server_close()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    naps: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", naps.append)
    return naps


def status(message: str, **details: t.Any) -> dict[str, t.Any]:
    return {"kind": "Status", "message": message, "details": details}


def test_the_options_are_those_of_kubernetes_core() -> None:
    assert {name: set(spec.get("aliases", [])) for name, spec in AUTH_SPEC.items()} == {
        name: set(spec.get("aliases", [])) for name, spec in AUTH_ARG_SPEC.items()
    }
    assert {name: spec.get("type", "str") for name, spec in AUTH_SPEC.items()} == {
        name: spec.get("type", "str") for name, spec in AUTH_ARG_SPEC.items()
    }
    secret = {name for name, spec in AUTH_ARG_SPEC.items() if spec.get("no_log")}
    # Of a kubeconfig only the secrets in it are hidden, see kubeconfig_secrets.
    assert {name for name, spec in AUTH_SPEC.items() if spec.get("no_log")} == secret - {"kubeconfig"}


def test_the_secrets_of_a_kubeconfig_are_hidden_and_nothing_else() -> None:
    kubeconfig = {
        "apiVersion": "v1",
        "clusters": [{"name": "c", "cluster": {"server": "https://x", "certificate-authority-data": "CA"}}],
        "users": [
            {"name": "u", "user": {"token": "T", "client-certificate-data": "CERT", "client-key-data": "KEY"}},
            {"name": "o", "user": {"auth-provider": {"config": {"refresh-token": "R"}}}},
        ],
    }
    assert kubeconfig_secrets(kubeconfig) == {"T", "KEY", "R"}
    env = [
        {"name": "AWS_SECRET_ACCESS_KEY", "value": "S3"},
        {"name": "LOGIN", "value": "long enough to matter"},
        {"name": "AWS_PROFILE", "value": "default"},
        {"name": "DEBUG", "value": "1"},
    ]
    plugin = {"users": [{"name": "e", "user": {"exec": {"command": "aws", "args": ["a"], "env": env}}}]}
    assert kubeconfig_secrets(plugin) == {"S3", "long enough to matter"}
    assert kubeconfig_secrets({"exec": {"env": None}}) == set()
    behind = {"clusters": [{"name": "c", "cluster": {"proxy-url": "http://ann:p%40ss@proxy:3128/x@y"}}]}
    assert kubeconfig_secrets(behind) == {"p%40ss", "p@ss"}
    assert kubeconfig_secrets({"proxy-url": "http://proxy:3128"}) == set()
    assert kubeconfig_secrets("/a/path") == set()
    assert kubeconfig_secrets(None) == set()


def test_the_documented_options_are_the_real_ones() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert {name: (spec["type"], set(spec.get("aliases", []))) for name, spec in documented.items()} == {
        name: (spec.get("type", "str"), set(spec.get("aliases", []))) for name, spec in AUTH_SPEC.items()
    }


def test_credentials_and_impersonation_are_sent(cluster: Cluster, script: Script) -> None:
    script.says(200, {"kind": "Node"})
    assert cluster.get(NODE, "n1") == {"kind": "Node"}
    asked = script.asked[0]
    assert asked.path == "/api/v1/nodes/n1"
    assert asked.headers["Authorization"] == "Bearer secret"
    assert asked.headers["Impersonate-User"] == "ann"
    assert asked.headers.getlist("Impersonate-Group") == ["a", "b"]


def test_apply_sends_what_server_side_apply_needs(cluster: Cluster, script: Script) -> None:
    script.says(200)
    body = {"metadata": {"name": "x", "namespace": "s"}, "spec": {"host": "h"}}
    cluster.apply(DESTINATION_RULE, body, force=True, dry_run=True)
    asked = script.asked[0]
    assert (asked.method, asked.path) == ("PATCH", "/apis/networking.istio.io/v1/namespaces/s/destinationrules/x")
    assert asked.query == {
        "fieldManager": "meshops.locality",
        "force": "true",
        "fieldValidation": "Strict",
        "dryRun": "All",
    }
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.body == {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", **body}


def test_delete_names_the_version_it_judged(cluster: Cluster, script: Script) -> None:
    script.says(200).says(404, status("gone"))
    assert cluster.delete(POD, "p", "s", resource_version="7") is True
    assert script.asked[0].body["preconditions"] == {"resourceVersion": "7"}
    assert "dryRun" not in script.asked[0].body
    assert cluster.delete(POD, "p", "s") is False


def test_a_dry_delete_says_so_in_its_body(cluster: Cluster, script: Script) -> None:
    """The API server ignores the query of a DELETE that has a body."""
    script.says(200)
    cluster.delete(POD, "p", "s", dry_run=True)
    assert script.asked[0].body["dryRun"] == ["All"]


def test_lists_are_read_in_pages(cluster: Cluster, script: Script) -> None:
    script.says(200, {"items": [ONE, TWO], "metadata": {"continue": "more"}}).says(
        200, {"items": [ONE], "metadata": {}}
    )
    assert cluster.list(POD, "s", labels="a=b") == [ONE, TWO, ONE]
    assert [asked.query for asked in script.asked] == [
        {"limit": "500", "labelSelector": "a=b"},
        {"limit": "500", "labelSelector": "a=b", "continue": "more"},
    ]


def test_an_expired_page_starts_over(cluster: Cluster, script: Script) -> None:
    script.says(200, {"items": [ONE], "metadata": {"continue": "old"}}).says(410, status("expired"))
    script.says(200, {"items": [ONE, TWO], "metadata": {}})
    assert cluster.list(POD) == [ONE, TWO]
    assert "limit" not in script.asked[2].query


def test_the_server_says_how_long_to_wait(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(429, status("slow down"), Retry_After="3").says(200, {"kind": "Node"})
    assert cluster.get(NODE, "n") == {"kind": "Node"}
    assert slept == [3]


@pytest.mark.parametrize("method", ["get", "apply"])
@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(
    cluster: Cluster, script: Script, slept: list[float], method: str, code: int
) -> None:
    script.says(code).says(code).says(200, {"kind": "x"})
    if method == "get":
        assert cluster.get(NODE, "n") == {"kind": "x"}
    else:
        assert cluster.apply(NODE, {"metadata": {"name": "n"}}) == {"kind": "x"}
    assert len(script.asked) == 3


def test_lasting_errors_come_to_a_clear_end(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(503, status("overloaded"))
    with pytest.raises(_errors.Unreachable) as caught:
        cluster.get(NODE, "n")
    assert len(script.asked) == 6
    assert 4 < sum(slept) < 30
    assert str(caught.value).startswith(
        f"The API server {cluster.server} kept answering 503 to get /api/v1/nodes/n: overloaded."
    )
    assert "Run again when it has recovered" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "body", "kind", "told"),
    [
        (401, status("Unauthorized"), _errors.Unauthorized, "wrong or have expired"),
        (
            403,
            status('nodes is forbidden: User "x" cannot list'),
            _errors.Forbidden,
            r"Not allowed to list /api/v1/nodes \(403\): nodes is forbidden.*Grant the verb 'list'",
        ),
        (
            403,
            status('x is forbidden: User "u" cannot create resource "destinationrules" in API group "i"'),
            _errors.Forbidden,
            r"Not allowed to create .* Grant the verb 'create' on destinationrules to the user",
        ),
        (
            403,
            status("being terminated", causes=[{"reason": "NamespaceTerminating"}]),
            _errors.Rejected,
            "Wait until the namespace is gone",
        ),
        (
            404,
            status('namespaces "s" not found', kind="namespaces", name="s"),
            _errors.NotFound,
            "Namespace s does not",
        ),
        (404, b"404 page not found\n", _errors.NotFound, r"does not exist \(404\): 404 page not found\."),
        (409, status("changed"), _errors.Conflict, "Somebody else changed or owns"),
        (422, status("Invalid value."), _errors.Rejected, r"refuses /api/v1/nodes \(422\): Invalid value\.$"),
        (400, status("denied the request"), _errors.Rejected, "denied the request"),
        (500, status(".spec.x: field not declared in schema"), _errors.Rejected, "spec.x: field not declared"),
        (500, status("failed calling webhook x"), _errors.Unreachable, "admission webhook did not answer"),
        (418, b"", _errors.ClusterError, "answered 418 to list"),
    ],
)
def test_what_a_user_is_told(
    cluster: Cluster,
    script: Script,
    slept: list[float],
    code: int,
    body: t.Any,
    kind: type[_errors.ClusterError],
    told: str,
) -> None:
    script.says(code, body)
    with pytest.raises(kind, match=told) as caught:
        cluster.list(NODE)
    assert caught.value.__class__ is kind
    assert caught.value.details["status"] == code


def test_the_owners_of_fields_are_kept(cluster: Cluster, script: Script) -> None:
    causes = [{"reason": "FieldManagerConflict", "field": ".spec.host", "message": 'conflict with "x"'}]
    script.says(409, status("conflict", causes=causes))
    with pytest.raises(_errors.Conflict) as caught:
        cluster.apply(NODE, {"metadata": {"name": "n"}})
    assert caught.value.details["causes"] == causes


def test_nobody_listens(slept: list[float]) -> None:
    configuration = kubernetes.client.Configuration()
    configuration.host = "http://127.0.0.1:1"
    with pytest.raises(
        _errors.Unreachable, match=r"No answer from the API server http://127.0.0.1:1: .*Check the address"
    ):
        Cluster(kubernetes.client.ApiClient(configuration), {}).get(NODE, "n")


def test_a_server_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch, slept: list[float]) -> None:
    monkeypatch.setattr(client, "TIMEOUT", urllib3.Timeout(connect=0.2, read=0.2))
    with socket.create_server(("127.0.0.1", 0), backlog=20) as silent:
        configuration = kubernetes.client.Configuration()
        configuration.host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(_errors.Unreachable, match=r"No answer from the API server .*Read timed out"):
            Cluster(kubernetes.client.ApiClient(configuration), {}).get(NODE, "n")
    assert len(slept) == 1  # three tries; the second one comes at once


def test_map_keeps_the_order_and_raises_what_is_raised(cluster: Cluster) -> None:
    assert cluster.map(lambda n: n * n, list(range(40))) == [n * n for n in range(40)]
    assert cluster.map(lambda n: n, []) == []
    with pytest.raises(ZeroDivisionError):
        cluster.map(lambda n: 1 // n, [1, 0])


def test_lists_are_asked_for_packed(cluster: Cluster, script: Script) -> None:
    packed = gzip.compress(json.dumps({"items": [ONE], "metadata": {}}).encode())
    script.says(200, packed, Content_Encoding="gzip")
    assert cluster.list(POD) == [ONE]
    assert script.asked[0].headers["Accept-Encoding"] == "gzip"


def test_the_next_page_is_on_its_way_while_one_is_read(cluster: Cluster, script: Script) -> None:
    first = {"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": "more"}, "items": [ONE]}
    script.says(200, json.dumps(first, separators=(",", ":")).encode()).says(200, {"items": [TWO]})
    asked: list[int] = []

    def take(item: dict[str, t.Any]) -> int:
        if item == ONE:
            until = time.monotonic() + 10
            while len(script.asked) < 2 and time.monotonic() < until:
                time.sleep(0.01)
        asked.append(len(script.asked))
        return t.cast(int, item["n"])

    assert cluster.each(POD, take) == [1, 2]
    assert asked == [2, 2]


@pytest.mark.parametrize("answer", [b"<html>log in first</html>", b"[]", b'{"items": [{"a": 1}', b"\xff"])
def test_an_answer_that_is_no_list(cluster: Cluster, script: Script, answer: bytes) -> None:
    script.says(200, answer)
    with pytest.raises(_errors.ClusterError, match="with something that is not a list"):
        cluster.list(POD)
