# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""endpoints_info and the filters against real sidecars."""

from __future__ import annotations

import json
import typing as t

import pytest

from .mesh import PLACES, Mesh

Json = dict[str, t.Any]


@pytest.fixture
def info(run_module: t.Any, kubeconfig: t.Any, mesh: Mesh) -> t.Callable[..., Json]:
    def call(**params: t.Any) -> Json:
        given = {"namespace": mesh.namespace, "kubeconfig": str(kubeconfig), **params}
        return t.cast(Json, run_module("endpoints_info", params=given))

    return call


def test_a_client_in_tianjin(info: t.Any, mesh: Mesh) -> None:
    result = info(label_selector="app=sleep", service_host="helloworld", port=5000, include_settings=True)
    assert result["problems"] == []
    (client,) = result["clients"]
    assert client["locality"] == PLACES["tianjin"]
    assert {e["locality"]: e["priority"] for e in client["endpoints"]} == {
        PLACES["tianjin"]: 0,
        PLACES["beijing"]: 1,
        PLACES["guangzhou"]: 2,
    }
    for endpoint in client["endpoints"]:
        pod = mesh.get("pod", endpoint["pod"])
        assert endpoint["address"] == f"{pod['status']['podIP']}:5000"
        assert endpoint["node"] == pod["spec"]["nodeName"]
        assert (endpoint["health"], endpoint["stale"]) == ("healthy", False)
    settings = client["clusters"][f"outbound|5000||{mesh.host}"]
    assert settings["outlier_detection"]["max_ejection_percent"] == 100
    assert settings["max_requests_per_connection"] == 1


@pytest.mark.parametrize(
    "form", ["helloworld", "helloworld.{ns}", "helloworld.{ns}.svc", "helloworld.{ns}.svc.cluster.local"]
)
def test_the_host_as_people_write_it(info: t.Any, mesh: Mesh, form: str) -> None:
    result = info(label_selector="app=sleep", service_host=form.format(ns=mesh.namespace))
    assert {e["host"] for e in result["clients"][0]["endpoints"]} == {mesh.host}


def test_many_clients_with_one_that_has_no_sidecar(info: t.Any, mesh: Mesh) -> None:
    result = info(label_selector="app in (sleep, plain, helloworld)", service_host="helloworld")
    clients = {client["pod"].rsplit("-", 2)[0]: client for client in result["clients"]}
    assert len(clients) == 5
    assert "no Istio sidecar" in clients["plain"]["problem"]
    assert clients["helloworld-tianjin"]["sidecar"] == "native"
    assert clients["sleep"]["sidecar"] == "classic"
    assert len(clients["helloworld-guangzhou"]["endpoints"]) == 3
    assert [client["pod"] for client in result["clients"]] == sorted(client["pod"] for client in result["clients"])
    assert len(result["problems"]) == 1


def test_an_unknown_host_is_a_problem_that_names_near_ones(info: t.Any, mesh: Mesh) -> None:
    result = info(label_selector="app=sleep", service_host="helloword")
    assert "Near: helloworld." in result["clients"][0]["problem"]
    assert result["clients"][0]["endpoints"] == []


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"pods": ["nobody"]}, "Pod nobody does not exist"),
        ({"label_selector": "app=nobody"}, "No running pod"),
        (
            {"label_selector": "app=sleep", "namespace": "no-such-namespace"},
            "Namespace no-such-namespace does not exist",
        ),
        ({}, "one of the following is required"),
    ],
)
def test_bad_input(info: t.Any, params: Json, says: str) -> None:
    result = info(**params)
    assert result["failed"]
    assert says in result["msg"]


def test_the_filters_read_the_same_from_files(info: t.Any, mesh: Mesh, run_playbook: t.Any, kubectl: t.Any) -> None:
    sleep = mesh.name("app=sleep")
    enter = ("-n", mesh.namespace, "exec", sleep, "-c", "istio-proxy", "--", "pilot-agent", "request", "GET")
    texts = {"json": kubectl(*enter, "clusters?format=json"), "text": kubectl(*enter, "clusters")}
    seen = info(label_selector="app=sleep", service_host="helloworld")["clients"][0]["endpoints"]
    ours = "selectattr('host', 'equalto', host) | selectattr('direction', 'equalto', 'outbound')"
    show = "map(attribute='address') | sort"
    played = run_playbook(
        [
            {
                "hosts": "all",
                "gather_facts": False,
                "vars": {"texts": texts, "host": mesh.host},
                "tasks": [
                    {
                        "name": "read",
                        "ansible.builtin.debug": {
                            "msg": "{{ texts[item] | meshops.locality.envoy_clusters | " + ours + " | " + show + " }}"
                        },
                        "loop": ["json", "text"],
                    },
                    {
                        "name": "as a dictionary",
                        "ansible.builtin.debug": {
                            "msg": "{{ texts.json | from_json | meshops.locality.envoy_clusters | length > 0 }}"
                        },
                    },
                ],
            }
        ]
    )
    assert played.rc == 0, played.failures()
    messages = [result["msg"] for result in played.results("read")[0]["results"]]
    assert messages == [sorted(endpoint["address"] for endpoint in seen)] * 2
    assert played.results("as a dictionary")[0]["msg"] is True


def test_without_the_right_to_enter_pods_the_message_names_the_verb(
    run_module: t.Any, kubeconfig: t.Any, mesh: Mesh, kubectl: t.Any
) -> None:
    reader = f"system:serviceaccount:{mesh.namespace}:default"
    role = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}
    subject = [{"kind": "ServiceAccount", "name": "default", "namespace": mesh.namespace}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"}
    api = "rbac.authorization.k8s.io/v1"
    mesh.apply(
        {"apiVersion": api, "kind": "Role", "metadata": {"name": "pods"}, **role},
        {
            "apiVersion": api,
            "kind": "RoleBinding",
            "metadata": {"name": "pods"},
            "roleRef": reference,
            "subjects": subject,
        },
    )
    result = run_module(
        "endpoints_info",
        kubeconfig=str(kubeconfig),
        impersonate_user=reader,
        namespace=mesh.namespace,
        label_selector="app=sleep",
    )
    assert result["failed"]
    assert result["error"] == "Forbidden"
    assert "pods/exec" in result["msg"]


def test_a_large_view_is_bounded_and_goes_whole_to_a_file(info: t.Any, tmp_path: t.Any) -> None:
    whole = info(label_selector="app=sleep")["clients"][0]["endpoints"]
    assert len(whole) > 3
    bounded = info(label_selector="app=sleep", max_endpoints=3)
    (client,) = bounded["clients"]
    assert (len(client["endpoints"]), client["endpoints_left_out"]) == (3, len(whole) - 3)
    assert [
        f"{len(whole) - 3} endpoints of 1 clients are not in this result" in say for say in bounded["problems"]
    ] == [True]

    path = tmp_path / "endpoints.jsonl"
    saved = info(label_selector="app=sleep", max_endpoints=3, path=str(path))
    assert (saved["changed"], saved["path"], saved["problems"]) == (True, str(path), [])
    (line,) = path.read_text().splitlines()
    written = json.loads(line)
    assert [e["address"] for e in written["endpoints"]] == [e["address"] for e in whole]
    assert (written["endpoints_left_out"], saved["clients"][0]["endpoints_left_out"]) == (0, len(whole) - 3)
    assert path.stat().st_mode & 0o777 == 0o600

    refused = info(label_selector="app=sleep", path=str(tmp_path / "no" / "file"))
    assert f"The folder {tmp_path / 'no'} does not exist." in refused["msg"]
