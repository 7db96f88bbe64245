# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""traffic_probe against real sidecars: each witness is checked against the tests' own view."""

from __future__ import annotations

import time
import typing as t

import pytest

from .mesh import PLACES, Mesh

Json = dict[str, t.Any]


@pytest.fixture
def probe(run_module: t.Any, kubeconfig: t.Any, mesh: Mesh) -> t.Callable[..., Json]:
    def call(check: bool = False, **params: t.Any) -> Json:
        base = {"namespace": mesh.namespace, "label_selector": "app=sleep", "url": mesh.url, "requests": 10, "rate": 20}
        given = {**base, "kubeconfig": str(kubeconfig), **params}
        return t.cast(Json, run_module("traffic_probe", check=check, params=given))

    return call


def log_of(mesh: Mesh, labels: str) -> str:
    return t.cast(str, mesh.kubectl("-n", mesh.namespace, "logs", mesh.name(labels), "-c", "istio-proxy"))


def test_three_witnesses_of_the_same_requests(probe: t.Any, mesh: Mesh) -> None:
    result = probe(requests=30)
    pod = mesh.name("app=helloworld,version=tianjin")
    assert (result["sent"], result["succeeded"], result["failed_requests"]) == (30, 30, 0), result
    assert result["by_pod"] == {pod: 30}
    assert result["by_locality"] == {PLACES["tianjin"]: 30}
    assert result["witnesses"]["counters"]["rq_success"] == 30
    assert result["witnesses"]["access_log"]["by_locality"] == {PLACES["tianjin"]: 30}
    assert (result["agree"], result["disagreements"]) == (True, [])
    assert 0 < result["latency"]["min"] <= result["latency"]["p50"] <= result["latency"]["max"]
    assert sum(second["sent"] for second in result["timeline"]) == 30
    # Envoy kept the request ids, on both sides: the tests read the logs themselves.
    for labels in ("app=sleep", "app=helloworld,version=tianjin"):
        assert log_of(mesh, labels).count(result["run"] + "-") == 30


def test_failures_by_code_flag_and_time(probe: t.Any, mesh: Mesh) -> None:
    # Istio's own fault injection: the client's sidecar answers 503 in the place of every endpoint.
    abort = {"fault": {"abort": {"percentage": {"value": 100}, "httpStatus": 503}}}
    match = {"match": [{"uri": {"prefix": "/broken"}}]}
    route = {"route": [{"destination": {"host": mesh.host}}]}
    fault = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "helloworld"},
        "spec": {"hosts": [mesh.host], "http": [{**match, **abort, **route}, route]},
    }
    mesh.apply(fault)
    try:
        until = time.monotonic() + 60
        while (result := probe(url=mesh.url.removesuffix("hello") + "broken", requests=5))["succeeded"]:
            assert time.monotonic() < until, result
            time.sleep(2)
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", "virtualservice", "helloworld")
    assert (result["by_code"], result["by_flag"]) == ({"503": 5}, {"FI": 5})
    assert (result["failed_requests"], result["outage"], result["first_failure"]) == (5, 1, 0.0)
    assert result["failure_reasons"] == {"status 503": 5}
    assert result["by_pod"] == {}
    assert result["witnesses"]["counters"]["rq_total"] == 0  # no endpoint has seen them
    assert result["agree"], result["disagreements"]


def test_requests_of_others_through_the_same_sidecar_are_told_apart(probe: t.Any, mesh: Mesh) -> None:
    import threading

    loop = f"for n in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null {mesh.url}; sleep 0.2; done"
    sleep = mesh.name("app=sleep")
    other = threading.Thread(
        target=lambda: mesh.kubectl("-n", mesh.namespace, "exec", sleep, "-c", "sleep", "--", "sh", "-c", loop)
    )
    other.start()
    result = probe(requests=40, rate=10)
    other.join()
    assert result["agree"], result["disagreements"]
    assert result["sent"] == result["by_pod"][mesh.name("app=helloworld,version=tianjin")] == 40


def test_check_mode_sends_nothing(probe: t.Any, mesh: Mesh) -> None:
    before = log_of(mesh, "app=sleep")
    result = probe(check=True)
    assert result["sent"] == 0
    assert "Would send 10 requests" in result["msg"]
    time.sleep(1.5)
    assert log_of(mesh, "app=sleep") == before


def test_who_answered_from_the_log_alone(probe: t.Any, mesh: Mesh) -> None:
    result = probe(answer_pattern="")
    assert result["by_pod"] == {mesh.name("app=helloworld,version=tianjin"): 10}


def test_a_client_without_a_sidecar(probe: t.Any, mesh: Mesh) -> None:
    refused = probe(label_selector="app=plain")
    assert refused["failed"]
    assert "no Istio sidecar" in refused["msg"]
    result = probe(label_selector="app=plain", witnesses=[], requests=60)
    assert result["succeeded"] == 60, result
    assert set(result["by_locality"]) == set(PLACES.values())  # kube-proxy knows no locality
    assert result["witnesses"]["counters"] == {"available": False, "reason": "Not asked for."}


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"url": "https://helloworld/"}, "not http://"),
        ({"requests": 100000, "rate": 1}, "more than 3600"),
        ({"container": "nope"}, "has no container nope. It has sleep"),
        ({"label_selector": "app=nobody"}, "No running pod"),
    ],
)
def test_bad_input(probe: t.Any, params: Json, says: str) -> None:
    result = probe(**params)
    assert result["failed"]
    assert says in result["msg"]


def test_a_client_without_curl(probe: t.Any, bare: str) -> None:
    result = probe(label_selector=f"app={bare}", witnesses=[])
    assert result["failed"]
    assert "has no curl" in result["msg"]
    assert "Name another one with container" in result["msg"]


def test_a_second_reading_that_fails_keeps_the_answers(probe: t.Any, fault_proxy: t.Any) -> None:
    broken: list[bool] = []

    def arm() -> None:
        if not broken:
            broken.append(True)
            # Sending begins, so the first reading is over.
            fault_proxy.add("GET", "/exec.*pilot-agent.*clusters", status=500)

    fault_proxy.add("GET", "/exec.*command=sh&", before=arm)
    result = probe(kubeconfig=str(fault_proxy.kubeconfig))
    assert broken
    assert (result["sent"], result["succeeded"]) == (10, 10), result
    counters = result["witnesses"]["counters"]
    assert counters["available"] is False
    assert "could not be read a second time" in counters["reason"]
    assert result["witnesses"]["access_log"]["available"]
    assert result["agree"]


def test_without_the_access_log_the_counters_are_heard(probe: t.Any, mesh: Mesh) -> None:
    logging = [{"disabled": True, "providers": [{"name": "envoy"}]}]
    quiet = {
        "apiVersion": "telemetry.istio.io/v1",
        "kind": "Telemetry",
        "metadata": {"name": "quiet"},
        "spec": {"selector": {"matchLabels": {"app": "sleep"}}, "accessLogging": logging},
    }
    mesh.apply(quiet)
    try:
        until = time.monotonic() + 60
        # The first probe that is not logged may still see the lines of the one before it.
        while "log is off" not in (result := probe())["witnesses"]["access_log"].get("reason", ""):
            assert time.monotonic() < until, result
            time.sleep(2)
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", "telemetry", "quiet")
    assert "The access log is off. Set meshConfig.accessLogFile" in result["witnesses"]["access_log"]["reason"]
    assert result["witnesses"]["counters"]["rq_success"] == 10
    assert result["agree"]
    assert result["by_pod"] == {mesh.name("app=helloworld,version=tianjin"): 10}
