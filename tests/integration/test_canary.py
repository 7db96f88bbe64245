# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canary of docs/examples, played on the cluster: what was forecast next to what was observed."""

from __future__ import annotations

import sys
import time
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml

from ansible_collections.meshops.locality.plugins.module_utils._forecast.forecast_against_probe import (
    forecast_differences,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Ability, Selection, forecast
from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from tests.conftest import ROOT

from .mesh import CLIENT, SERVER, Mesh

Json = dict[str, t.Any]
EXAMPLE = ROOT / "docs" / "examples" / "canary" / "mesh.yml"


def playable(namespace: str) -> list[Json]:
    """The example's objects in a namespace of their own, on any nodes: pods name their zone themselves."""
    text = EXAMPLE.read_text(encoding="utf-8").replace("cart.shop.", f"cart.{namespace}.")
    sentences = []
    for item in yaml.safe_load_all(text):
        if item["kind"] in ("Node", "Namespace"):
            continue
        item["metadata"]["namespace"] = namespace
        if item["kind"] == "Service":
            item["spec"]["ports"][0]["targetPort"] = 5000
        if item["kind"] == "Deployment":
            template = item["spec"]["template"]
            zone = template["spec"].pop("nodeSelector")["topology.kubernetes.io/zone"]
            template["metadata"]["labels"]["topology.istio.io/locality"] = f"eu.{zone}"
            own = (
                CLIENT
                if item["metadata"]["name"] == "web"
                else {
                    **SERVER,
                    "env": [{"name": "SERVICE_VERSION", "value": template["metadata"]["labels"]["version"]}],
                }
            )
            template["spec"]["containers"] = [{**own, "imagePullPolicy": "IfNotPresent"}]
            template["spec"]["terminationGracePeriodSeconds"] = 0
        sentences.append(item)
    return sentences


class Canary:
    """The example, played."""

    def __init__(self, namespace: str, run_module: t.Any, kubeconfig: str) -> None:
        self.namespace, self._run, self._kubeconfig = namespace, run_module, kubeconfig

    def run(self, module: str, **params: t.Any) -> Json:
        """Run a module."""
        result: Json = self._run(module, params={"kubeconfig": self._kubeconfig, **params})
        assert not result.get("failed"), result
        return result

    def forecast(self) -> Json:
        """The forecast of what is there now."""
        saved = self.run("topology_info", namespaces=[self.namespace])["snapshot"]
        return forecast(
            snapshot_document.read(saved).snapshot,
            Selection((f"cart.{self.namespace}",), clients=("app=web",)),
            losses=["zone eu/eu-a", "zone eu/eu-c"],
            faults=("drained",),
            ability=Ability(lose_clients=False),
        )

    def probe(self, requests: int = 200) -> Json:
        """Send requests as the client does."""
        return self.run(
            "traffic_probe",
            namespace=self.namespace,
            label_selector="app=web",
            url=f"http://cart.{self.namespace}:8080/hello",
            requests=requests,
            rate=25,
        )

    def drain(self, selector: str, state: str) -> None:
        """Let the sidecars of some pods refuse connections, or take them again."""
        self.run("listener_drain", namespace=self.namespace, label_selector=selector, state=state, inbound_only=True)

    def wait_for_ejections_to_end(self) -> None:
        """Wait until the client's Envoy uses every endpoint again: an ejection lasts a minute here."""
        until = time.monotonic() + 180
        while True:
            result = self.run(
                "endpoints_info",
                namespace=self.namespace,
                label_selector="app=web",
                service_host=f"cart.{self.namespace}.svc.cluster.local",
            )
            left = {
                endpoint["address"]
                for client in result["clients"]
                for endpoint in client["endpoints"]
                if endpoint["health_reasons"]
            }
            if not left:
                return
            assert time.monotonic() < until, left
            time.sleep(3)


@pytest.fixture
def canary(kubectl: t.Any, run_module: t.Any, kubeconfig: Path) -> t.Iterator[Canary]:
    namespace = f"canary-{uuid.uuid4().hex[:8]}"
    labels = {"istio-injection": "enabled"}
    injected = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    kubectl("apply", "-f", "-", given=injected)
    try:
        kubectl("-n", namespace, "apply", "-f", "-", given=playable(namespace))
        kubectl("-n", namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=180s")
        mesh = Mesh(namespace, kubectl)
        for pod in mesh.get("pods", "-l", "app=cart")["items"]:
            mesh.wait_for_endpoint("cart", pod["metadata"]["name"])
        yield Canary(namespace, run_module, str(kubeconfig))
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


def line(what: str, forecast_: Json, probe: Json) -> str:
    """The forecast next to what was observed."""
    sent = probe["sent"]
    shares = ", ".join(f"{place} {100 * share:.0f} %" for place, share in sorted(forecast_["localities"].items()))
    seen = ", ".join(f"{place} {100 * count / sent:.0f} %" for place, count in sorted(probe["by_locality"].items()))
    lost = f"{100 * (forecast_['none'] + forecast_['dead']):.0f} %"
    failed = f"{100 * probe['failed_requests'] / sent:.0f} %"
    return f"{what}: forecast {shares}, failed {lost}; observed {seen}, failed {failed}"


def agreed(canary: Canary, prediction: Json, row: Json, loss: str = "") -> Json:
    """Return a probe that agrees with the forecast, of at most three: a busy machine fails requests of its own."""
    state = row["now"]
    if loss:
        state = next(entry for entry in row["losses"] if entry["loss"] == loss)["settled"]
    differences: list[str] = []
    for _try in range(3):
        probe = canary.probe()
        sys.stdout.write(line(loss or "now", state, probe) + "\n")
        differences = forecast_differences(prediction, probe, loss)
        if not differences:
            return probe
    raise AssertionError("\n".join(differences))


def test_a_canary_goes_where_it_was_forecast(canary: Canary) -> None:
    prediction = canary.forecast()
    (row,) = prediction["rows"]
    assert row["now"]["localities"] == {"eu/eu-a": 0.7, "eu/eu-c": 0.3}
    agreed(canary, prediction, row)
    for zone, selector in (("eu/eu-a", "app=cart,zone=a"), ("eu/eu-c", "app=cart,version=v2")):
        canary.drain(selector, "drained")
        canary.probe(40)  # until the lost endpoints are ejected
        probe = agreed(canary, prediction, row, f"zone {zone}")
        # The shares of now are refuted by the same requests.
        assert forecast_differences(prediction, probe) != []
        canary.drain(selector, "restored")
        canary.wait_for_ejections_to_end()
