# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of Envoy's answers, on the tagged values that templates hand over."""

from __future__ import annotations

import typing as t
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "module_utils" / "_envoy" / "samples"


def shown(run_playbook: t.Any, expression: str, **variables: t.Any) -> t.Any:
    task = {"name": "show", "ansible.builtin.debug": {"msg": "{{ " + expression + " }}"}}
    played = run_playbook([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [task]}])
    return played.results("show")[0]["msg"]


def test_access_log_upstreams(run_playbook: t.Any) -> None:
    log = (SAMPLES / "access-log.txt").read_text(encoding="utf-8")
    printed = shown(run_playbook, "log | meshops.locality.access_log_upstreams(request_id='probe-')", log=log)
    assert printed["by_upstream_host"] == {"10.244.11.3:5000": 1, "10.244.12.4:5000": 3}


def test_envoy_clusters(run_playbook: t.Any) -> None:
    text = (SAMPLES / "clusters-ejected.txt").read_text(encoding="utf-8")
    ejected = "selectattr('health_reasons', 'contains', 'failed_outlier_check') | map(attribute='address') | first"
    assert shown(run_playbook, f"text | meshops.locality.envoy_clusters | {ejected}", text=text) == "127.7.0.1:8000"


def test_endpoints_differ(run_playbook: t.Any) -> None:
    endpoint = {"locality": "r/a", "priority": 1, "health": "healthy", "health_reasons": [], "address": "a:1"}
    clients = [{"namespace": "shop", "pod": "c", "problem": "", "endpoints": [endpoint]}]
    printed = shown(run_playbook, "clients | meshops.locality.endpoint_differences({'r/a': 0})", clients=clients)
    assert printed == ["shop/c holds priority 1 for r/a; 0 was expected."]


def test_something_else_is_a_clear_error(run_playbook: t.Any) -> None:
    assert "needs text, got" in shown(run_playbook, "[1] | meshops.locality.access_log_upstreams")
    assert "Not an answer of Envoy's /clusters" in shown(run_playbook, "'x' | meshops.locality.envoy_clusters")
