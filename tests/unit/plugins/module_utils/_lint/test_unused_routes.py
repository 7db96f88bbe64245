# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that istiod does not look at, and requests for which there is none: what is found is what is routed."""

from __future__ import annotations

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Selection, plan
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import ERROR, INFO
from tests.unit.plugins.module_utils._lint.cases import FAR, FILTER_ONLY, HOST, http_route, of_protocol, web
from tests.unit.plugins.module_utils._lint.meshes import Json, findings, istio, snapshot

REDIRECT: Json = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}}]}


def with_port(name: str, objects: list[Json]) -> list[Json]:
    """Return the mesh with another name of the Service's port."""
    for item in objects:
        ports = item.get("ports") if item["kind"] == "EndpointSlice" else item.get("spec", {}).get("ports")
        for port in ports or () if item["kind"] in ("EndpointSlice", "Service") else ():
            port["name"] = name
    return objects


def ids(objects: list[Json], wanted: str) -> list[str]:
    return [finding.field for finding in findings(objects) if finding.id == wanted]


@pytest.mark.parametrize(
    ("port", "block", "unused"),
    [
        *(("http", "http", False), ("http", "tcp", True), ("http", "tls", True)),
        *(("tcp", "http", True), ("tcp", "tcp", False)),
        *(("https", "http", True), ("https", "tcp", True), ("tcp", "tls", True)),
        # Istio finds out what it is.
        *(("", "http", False), ("", "tcp", False)),
    ],
)
def test_what_is_found_is_what_istiod_does_not_look_at(port: str, block: str, unused: bool) -> None:
    objects = with_port(port, web(of_protocol(block)))
    assert ids(objects, "ML238") == ([f"spec.{block}"] if unused else [])
    if port:
        routes = {
            requests["route"]
            for row in plan(snapshot(objects), Selection(services=("web",)))
            for requests in row["requests"]
        }
        assert any("VirtualService shop/web" in route for route in routes) is not unused


def test_only_ports_that_a_route_is_for_count() -> None:
    route = {"route": [{"destination": {"host": HOST}}]}
    for port, fields in ((80, ["spec.tcp"]), (81, [])):
        virtual = istio(
            "VirtualService", "web", "shop", {"hosts": [HOST], "tcp": [{**route, "match": [{"port": port}]}]}
        )
        assert ids(web(virtual), "ML238") == fields
    for_gateway = istio("VirtualService", "web", "shop", {"hosts": [HOST], "gateways": ["mesh", "in"], "tcp": [route]})
    assert ids(web(for_gateway), "ML238") == []


def severities(*rules: Json) -> list[tuple[str, str]]:
    return [(finding.field, finding.severity) for finding in findings(web(http_route(*rules))) if finding.id == "ML239"]


def test_requests_without_a_route_are_an_info_where_others_are_answered() -> None:
    backend = {"backendRefs": [{"name": "web", "port": 80}]}
    some = {"matches": [{"path": {"type": "PathPrefix", "value": "/x"}}]}
    assert severities(backend) == []
    assert severities(REDIRECT) == []
    assert severities({**backend, **some}) == [("spec.rules", INFO)]
    assert severities({**FILTER_ONLY, **some}) == [("spec.rules", ERROR), ("spec.rules[0]", ERROR)]
    assert severities({**FILTER_ONLY, **some}, backend) == [("spec.rules[0]", ERROR)]


@pytest.mark.parametrize("answers", [{"directResponse": {"status": 403}}, {"directResponse": {"status": 200}}])
def test_what_a_virtual_service_answers_itself_is_meant(answers: Json) -> None:
    virtual = istio("VirtualService", "web", "shop", {"hosts": [HOST], "http": [answers]})
    assert ids(web(virtual), "ML239") == []


def test_a_rule_of_a_host_whose_requests_are_all_redirected_is_not_to_be_written_elsewhere() -> None:
    assert ids(web(FAR, http_route(REDIRECT)), "ML232") == []


def test_the_finding_goes_when_the_fix_is_followed() -> None:
    tcp = of_protocol("tcp")
    tcp["spec"]["http"] = tcp["spec"].pop("tcp")
    assert ids(web(tcp), "ML238") == []
    rule = {**FILTER_ONLY, "backendRefs": [{"name": "web", "port": 80}]}
    assert severities(rule) == []
