# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that make policies, under real Ansible: tagged strings and lazy containers in, plain data out."""

from __future__ import annotations

import typing as t

import pytest

POLICY: dict[str, t.Any] = {
    "namespace": "sample",
    "service_host": "helloworld.sample.svc.cluster.local",
    "failover": "{{ regions | meshops.locality.failover_rules }}",
    "outlier_detection": {"consecutive_5xx_errors": "{{ errors }}", "base_ejection_time": "1m"},
    "complete": True,
}
ENDPOINTS = {"cn-north-4/cn-north-4b/beijing": "{{ number | int }}", "cn-south-1/cn-south-1a/guangzhou": 1}


def play(*expressions: str) -> list[dict[str, t.Any]]:
    variables = {
        "regions": ["cn-north-4", "cn-south-1"],
        "errors": 1,
        "number": 3,
        "policy": POLICY,
        "endpoints": ENDPOINTS,
    }
    tasks = [
        {"name": f"task {n}", "ansible.builtin.debug": {"msg": "{{ " + text + " }}"}, "ignore_errors": True}
        for n, text in enumerate(expressions)
    ]
    return [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]


def test_rendered_from_templated_variables(run_playbook: t.Any) -> None:
    done = run_playbook(
        play(
            "policy | meshops.locality.destination_rule(endpoints=endpoints)",
            "policy | meshops.locality.destination_rule(endpoints=endpoints) | to_nice_yaml | from_yaml",
            "policy | meshops.locality.virtual_service(endpoints=endpoints)",
            "policy | combine({'retry_remote_localities': false})"
            " | meshops.locality.virtual_service(endpoints=endpoints)",
            "{'a': {'region': regions[0]}, 'b': {'region': 'x'}}"
            " | meshops.locality.failover_rules(prefer={'x': regions[0]})",
        )
    )
    assert done.failures() == []
    rule, dumped, routes, none, pairs = (result["msg"] for result in done.results())
    assert rule == dumped
    assert rule["spec"]["trafficPolicy"] == {
        "loadBalancer": {
            "localityLbSetting": {
                "enabled": True,
                "failover": [{"from": "cn-north-4", "to": "cn-south-1"}, {"from": "cn-south-1", "to": "cn-north-4"}],
            }
        },
        "outlierDetection": {"consecutive5xxErrors": 1, "baseEjectionTime": "1m", "maxEjectionPercent": 75},
    }
    assert routes["spec"]["http"][0]["retries"] == {"attempts": 2, "retryRemoteLocalities": True}
    assert none == {}
    assert pairs == [{"from": "cn-north-4", "to": "x"}, {"from": "x", "to": "cn-north-4"}]


CASES = [
    ("policy | meshops.locality.destination_rule", "destination_rule: complete: there is no cluster to count"),
    ("policy | combine({'failove': 1}) | meshops.locality.destination_rule", "unknown options failove; there are"),
    ("['x'] | meshops.locality.virtual_service", "virtual_service: the policy must be a dictionary, not"),
    ("policy | meshops.locality.destination_rule(endpoints=[1])", "endpoints must be a dictionary"),
    (
        "policy | combine({'outlier_detection': {'interval': '1d'}}) | meshops.locality.destination_rule",
        'outlier_detection.interval: "1d" is not a duration',
    ),
    (
        "policy | combine({'load_balancer': 'FAIR'}) | meshops.locality.destination_rule",
        "value of load_balancer must be one of",
    ),
    ("{'service_host': 'x'} | meshops.locality.destination_rule", "missing required arguments: namespace"),
    ("1 | meshops.locality.failover_rules", "failover_rules: A list of regions is needed, not 1"),
    ("regions | meshops.locality.failover_rules(prefer=[1])", "failover_rules: prefer must be a dictionary"),
]


def test_bad_arguments_are_named(run_playbook: t.Any) -> None:
    done = run_playbook(play(*(expression for expression, _told in CASES)))
    results = done.results()
    assert len(results) == len(CASES)
    for (expression, expected), result in zip(CASES, results, strict=True):
        assert result.get("failed"), expression
        assert expected in result["msg"], expression


@pytest.mark.parametrize("name", ["failover_rules", "destination_rule", "virtual_service"])
def test_the_examples_are_documented(name: str) -> None:
    """Every filter has what ansible-doc shows."""
    import importlib

    import yaml

    module = importlib.import_module(f"ansible_collections.meshops.locality.plugins.filter.{name}")
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["name"] == name
    assert f"meshops.locality.{name}" in str(yaml.safe_load(module.EXAMPLES))
    assert yaml.safe_load(module.RETURN)["_value"]["description"]
