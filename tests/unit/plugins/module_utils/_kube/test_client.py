# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a scripted HTTP server: what is sent, what is tried again, what a user is told."""

from __future__ import annotations

import gzip
import importlib
import json
import socket
import threading
import time
import types
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import kubernetes
import pytest
import urllib3
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.meshops.locality.plugins.doc_fragments import api_timeout
from ansible_collections.meshops.locality.plugins.doc_fragments.auth import ModuleDocFragment
from ansible_collections.meshops.locality.plugins.module_utils import _errors
from ansible_collections.meshops.locality.plugins.module_utils._kube import client, request_retries
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import DESTINATION_RULE, NODE, POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.secrets import kubeconfig_secrets
from ansible_collections.meshops.locality.plugins.module_utils._module_runner import AUTH_SPEC, PATIENCE, PUT_BACK
from tests.conftest import ROOT

ONE, TWO = {"n": 1}, {"n": 2}
#: As the API server answers a deletion, and a Node.
DONE: dict[str, t.Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
FOUND: dict[str, t.Any] = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n"}}


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
            data = body if isinstance(body, bytes) else json.dumps(body or DONE).encode()
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
    clock = [1000.0]

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(request_retries, "time", types.SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
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
        # Places of the mesh are called so.
        {"name": "AWS_REGION", "value": "eu-central-1"},
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
    script.says(200, FOUND)
    assert cluster.get(NODE, "n1") == FOUND
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
    script.says(429, status("slow down"), Retry_After="3").says(200, FOUND)
    assert cluster.get(NODE, "n") == FOUND
    assert slept == [3]


@pytest.mark.parametrize("method", ["get", "apply"])
@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(
    cluster: Cluster, script: Script, slept: list[float], method: str, code: int
) -> None:
    script.says(code).says(code).says(200, FOUND)
    if method == "get":
        assert cluster.get(NODE, "n") == FOUND
    else:
        assert cluster.apply(NODE, {"metadata": {"name": "n"}}) == FOUND
    assert len(script.asked) == 3


def test_lasting_errors_come_to_a_clear_end(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(503, status("overloaded"))
    with pytest.raises(_errors.Unreachable) as caught:
        cluster.get(NODE, "n")
    tries = len(script.asked)
    assert 9 <= tries <= 14
    assert sum(slept) == pytest.approx(60)
    assert str(caught.value) == (
        f"The API server {cluster.server} kept answering 503 to get /api/v1/nodes/n for 60 s, {tries} tries:"
        " overloaded. Run again when it has recovered: what is done is found done."
    )


def test_retry_after_goes_no_further_than_the_patience(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(429, status("slow down"), Retry_After="2000")
    with pytest.raises(_errors.Unreachable, match="for 60 s, 2 tries"):
        cluster.get(NODE, "n")
    assert slept == [60]


def test_a_restore_is_patient_until_its_own_end(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(500)
    for _number in range(30):
        script.says(500)
    script.says(200, FOUND)
    assert cluster.until(time.monotonic() + 100_000).get(NODE, "n") == FOUND
    script.answers = [(500, None, {})]
    with pytest.raises(_errors.Unreachable, match="answered 500 to get"):
        cluster.until(time.monotonic() - 1).get(NODE, "n")


def test_what_puts_back_is_tried_three_times_as_long(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(503, status("down"))
    with pytest.raises(_errors.Unreachable, match="for 180 s"):
        cluster.patient(PATIENCE).get(NODE, "n")


def test_every_state_that_puts_back_is_tried_so_long() -> None:
    states: set[str] = set()
    for path in (ROOT / "plugins" / "modules").glob("*.py"):
        module = importlib.import_module(f"ansible_collections.meshops.locality.plugins.modules.{path.stem}")
        options = yaml.safe_load(module.DOCUMENTATION).get("options") or {}
        states |= set((options.get("state") or {}).get("choices") or ())
    assert states - {"read", "present", "labelled", "drained", "written", "verified"} == PUT_BACK
    (_timeout, patience, _refused) = yaml.safe_load(api_timeout.ModuleDocFragment.DOCUMENTATION)["options"][
        "api_timeout"
    ]["description"]
    assert {state for state in PUT_BACK if f"V({state})" in patience} == PUT_BACK


def test_what_happened_in_between_is_said(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(429).says(500).says(200, b"<html><title>Sign in</title>").says(503, status("down"))
    with pytest.raises(
        _errors.Unreachable, match=r"\(answer 429, answer 500, an answer that is not the API's, answer 503"
    ):
        cluster.get(NODE, "n")


@pytest.mark.parametrize(("code", "tries"), [(200, 3), (403, 1), (404, 1), (502, 9)])
def test_a_page_of_a_proxy_is_one_sentence(
    cluster: Cluster, script: Script, slept: list[float], code: int, tries: int
) -> None:
    page = b"<!DOCTYPE html><html><head><script>let x = 1</script></head>\n<body><h1>Please\n log in</h1></body></html>"
    script.says(code, page)
    with pytest.raises(_errors.ClusterError) as caught:
        cluster.list(NODE)
    assert not isinstance(caught.value, _errors.Forbidden | _errors.NotFound)
    assert caught.value.what.startswith("What answered ")
    assert f'at {cluster.server} with {code} is not the Kubernetes API ("Please log in").' in caught.value.what
    assert len(script.asked) >= tries


def test_a_page_of_a_proxy_is_no_log(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.answers = [(200, b"<html>log in</html>", {"Content-Type": "text/html; charset=utf-8"})] * 3
    with pytest.raises(_errors.ClusterError, match=r'with 200 is not the Kubernetes API \("log in"\)'):
        cluster.text("get", "/api/v1/namespaces/n/pods/p/log")
    script.answers = [(200, b"<html>a line of a log</html>", {"Content-Type": "text/plain"})]
    assert cluster.text("get", "/api/v1/namespaces/n/pods/p/log") == "<html>a line of a log</html>"


@pytest.mark.parametrize("start", ["<html>" + "x" * 75, "x" * 195])
def test_of_a_secret_in_a_page_that_is_cut_nothing_is_left(cluster: Cluster, script: Script, start: str) -> None:
    script.says(400, f"{start} Bearer secret".encode())
    with pytest.raises(_errors.ClusterError) as caught:
        cluster.get(NODE, "n")
    assert ("x *" in caught.value.what, "Bea" in caught.value.what) == (True, False)


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"null", b"{}", b'{"message": "who are you?"}', b'{"kind": "Node"}', b'{"kind":"Node","metadata":[]}'],
)
@pytest.mark.parametrize("write", [True, False])
def test_json_that_is_no_object_of_the_api_is_one_sentence(
    cluster: Cluster, script: Script, slept: list[float], answer: bytes, write: bool
) -> None:
    """A proxy's own JSON with status 200. A write behind it may have been done."""
    script.says(200, answer)
    with pytest.raises(_errors.ClusterError, match=r" with 200 is not the Kubernetes API") as caught:
        cluster.merge_patch(NODE, "n", {"metadata": {}}) if write else cluster.get(NODE, "n")
    assert (str(caught.value).count("Traceback"), caught.value.unheard) == (0, True)
    script.answers = [(200, answer, {}), (200, FOUND, {})]
    assert cluster.get(NODE, "n") == FOUND


def test_what_the_api_server_says_of_itself_is_no_object(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(200, {"gitVersion": "v1.35.0"})
    assert cluster.discovery("/version") == {"gitVersion": "v1.35.0"}
    script.answers = [(200, b"[]", {})]
    with pytest.raises(_errors.ClusterError, match="is not the Kubernetes API"):
        cluster.discovery("/version")


def test_refused_credentials_are_read_again(script: Script, cluster: Cluster, slept: list[float]) -> None:
    def renewed() -> kubernetes.client.ApiClient:
        fresh = kubernetes.client.Configuration()
        fresh.host = cluster.configuration.host
        fresh.api_key = {"authorization": "Bearer fresh"}
        return kubernetes.client.ApiClient(fresh)

    again = Cluster(cluster._connection.api, {}, renew=renewed)
    script.says(401).says(200, FOUND)
    assert again.get(NODE, "n") == FOUND
    assert [asked.headers["Authorization"] for asked in script.asked] == ["Bearer secret", "Bearer fresh"]


def test_wrong_credentials_are_not_tried_for_long(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(401)
    with pytest.raises(_errors.Unauthorized):
        cluster.until(time.monotonic() + 1000).get(NODE, "n")
    assert len(script.asked) == 3


def test_a_restore_waits_for_credentials_that_were_right_before(
    cluster: Cluster, script: Script, slept: list[float]
) -> None:
    script.says(200, FOUND)
    for _number in range(8):
        script.says(401)
    script.says(200, FOUND)
    patient = cluster.until(time.monotonic() + 100_000)
    assert patient.get(NODE, "a") == patient.get(NODE, "b") == FOUND


def test_a_write_whose_answer_got_lost_is_looked_up(cluster: Cluster, script: Script, slept: list[float]) -> None:
    """The first try was done; the second one finds the object changed, by ourselves."""
    body = {"metadata": {"name": "n", "resourceVersion": "1", "labels": {"a": "b", "c": None}}}
    live = {"kind": "Node", "metadata": {"name": "n", "resourceVersion": "2", "labels": {"a": "b", "z": "z"}}}
    script.says(500).says(409, status("changed")).says(200, live)
    assert cluster.merge_patch(NODE, "n", body) == live
    script.answers = [
        (500, None, {}),
        (409, status("changed"), {}),
        (200, {**live, "metadata": {"labels": {"a": "x"}}}, {}),
    ]
    with pytest.raises(_errors.Conflict):
        cluster.merge_patch(NODE, "n", body)
    # Nothing was lost: the conflict is somebody else's, whatever the object looks like.
    script.answers = [(429, None, {}), (409, status("changed"), {}), (200, live, {})]
    with pytest.raises(_errors.Conflict):
        cluster.merge_patch(NODE, "n", body)


def test_a_creation_whose_answer_got_lost_is_looked_up(cluster: Cluster, script: Script, slept: list[float]) -> None:
    body = {"metadata": {"name": "p", "namespace": "s"}, "spec": {"holder": "me"}}
    live = {"kind": "Pod", "metadata": {"name": "p", "namespace": "s", "uid": "u"}, "spec": {"holder": "me"}}
    script.says(502).says(409, status("exists")).says(200, live)
    assert cluster.create(POD, body) == live
    script.answers = [(502, None, {}), (409, status("exists"), {}), (200, {**live, "spec": {"holder": "you"}}, {})]
    with pytest.raises(_errors.Conflict):
        cluster.create(POD, body)


def test_a_deletion_whose_answer_got_lost_has_deleted(cluster: Cluster, script: Script, slept: list[float]) -> None:
    script.says(500).says(404, status("gone"))
    assert cluster.delete(POD, "p", "s") is True


def test_white_space_around_a_token_is_not_sent_and_a_break_in_it_not_told(cluster: Cluster, script: Script) -> None:
    script.says(200, FOUND)
    cluster.configuration.api_key = {"authorization": "Bearer s3cret\n"}
    cluster.get(NODE, "n")
    assert script.asked[0].headers["Authorization"] == "Bearer s3cret"
    cluster.configuration.api_key = {"authorization": "Bearer s3\ncret"}
    with pytest.raises(
        _errors.InvalidInput, match="header authorization for the API server holds a line break"
    ) as caught:
        cluster.get(NODE, "n")
    assert "s3" not in str(caught.value)


def test_the_address_is_told_without_user_and_password(cluster: Cluster) -> None:
    cluster.configuration.host = "https://ann:pass@api.example:6443/"
    assert cluster.server == "https://api.example:6443"


@pytest.mark.parametrize(
    ("code", "body", "kind", "expected"),
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
    expected: str,
) -> None:
    script.says(code, body)
    with pytest.raises(kind, match=expected) as caught:
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
        _errors.Unreachable,
        match=r"No answer from the API server http://127.0.0.1:1 for 60 s, \d+ tries: connection refused\. Check",
    ):
        Cluster(kubernetes.client.ApiClient(configuration), {}).get(NODE, "n")


def test_a_server_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch, slept: list[float]) -> None:
    monkeypatch.setattr(client, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=20) as silent:
        configuration = kubernetes.client.Configuration()
        configuration.host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(_errors.Unreachable, match=r"No answer from the API server .* tries: no answer in time"):
            Cluster(kubernetes.client.ApiClient(configuration), {}, api_timeout=5).get(NODE, "n")
    assert sum(slept) == pytest.approx(5)


def test_half_an_answer_is_asked_for_again(slept: list[float]) -> None:
    """The connection ends in the middle of the JSON."""
    body = json.dumps(FOUND).encode()
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    sent: list[bytes] = [whole[:-6], whole]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while sent:
                connection, _address = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(sent.pop(0))

        threading.Thread(target=serve, daemon=True).start()
        configuration = kubernetes.client.Configuration()
        configuration.host = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert Cluster(kubernetes.client.ApiClient(configuration), {}).get(NODE, "n") == FOUND
    assert not sent


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
    with pytest.raises(_errors.ClusterError, match=r"What answered GET /api/v1/pods at .* is not the Kubernetes API"):
        cluster.list(POD)
