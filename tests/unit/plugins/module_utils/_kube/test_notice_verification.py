# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether istiod's notice took effect: which clients are asked when nobody names any, and what is said without them."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import ClusterName, EnvoyEndpoint
from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden, NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube import notice_verification
from ansible_collections.meshops.locality.plugins.module_utils._kube.istiod_notification import Notified
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._module import node_topology

Json = dict[str, t.Any]


def pod(name: str, namespace: str, *, ready: bool = True) -> Json:
    state = {"name": "istio-proxy", "ready": ready, "restartCount": 0, "state": {"running": {}}}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": name},
        "spec": {"nodeName": "n", "containers": [{"name": "web"}, {"name": "istio-proxy"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [state]},
    }


class Mesh:
    """Pods, and the namespaces in which commands may be run."""

    def __init__(self, *pods: Json, entered: str = "", listed: bool = True) -> None:
        self.pods, self.entered, self.listed = pods, entered, listed
        self.asked: list[Json] = []

    def list(self, _kind: t.Any, namespace: str, *, labels: str) -> list[Json]:
        assert labels == "security.istio.io/tlsMode=istio"
        if not self.listed:
            raise Forbidden("Not allowed to list pods.", status=403)
        return [pod for pod in self.pods if pod["metadata"]["namespace"] == namespace]

    def request(self, _verb: str, method: str, path: str, *, body: Json) -> Json:
        assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        asked = body["spec"]["resourceAttributes"]
        self.asked.append(asked)
        assert (asked["resource"], asked["subresource"]) == ("pods", "exec")
        return {"status": {"allowed": asked["namespace"] in self.entered.split()}}


def chosen(mesh: Mesh, *namespaces: str) -> tuple[list[str], str]:
    clients, why = notice_verification.find_clients(t.cast(t.Any, mesh), namespaces)
    return [client.where for client in clients], why


def test_a_few_ready_sidecars_are_chosen_where_commands_are_allowed() -> None:
    mesh = Mesh(
        *(pod(f"p{number}", "shop") for number in range(9)), pod("sick", "bank", ready=False), entered="shop bank"
    )
    assert chosen(mesh, "bank", "shop") == (["shop/p0", "shop/p1", "shop/p2"], "")
    assert {(asked["verb"], asked["namespace"]) for asked in mesh.asked} == {("get", "shop"), ("create", "shop")}


def test_without_a_client_it_is_said_why() -> None:
    assert chosen(Mesh(pod("p", "shop", ready=False)), "shop") == ([], "namespace shop has no ready sidecar")
    assert chosen(Mesh(pod("p", "shop")), "shop") == (
        [],
        "commands in pods (pods/exec) are not allowed in namespace shop",
    )


class Envoy:
    """What a client holds of one endpoint, and where istiod places it."""

    def __init__(self, holds: str, node: str = "n") -> None:
        name = ClusterName.parse("outbound|80||web.shop.svc.cluster.local")
        self.endpoint: t.Any = types.SimpleNamespace(
            ip="10.0.0.9", address="10.0.0.9:80", name=name, locality=Locality.parse(holds)
        )
        self.node = node

    def read_endpoints(self, *_given: t.Any) -> list[EnvoyEndpoint]:
        return [self.endpoint]

    def __call__(self, *_given: t.Any) -> Envoy:
        """Be the index of pods."""
        return self

    def behind(self, _ip: str) -> t.Any:
        return types.SimpleNamespace(node=self.node)

    def locality(self, _pod: t.Any) -> Locality:
        return Locality.parse("r/z/new")


def verified(
    monkeypatch: pytest.MonkeyPatch, mesh: Mesh, envoy: Envoy, *, check_mode: bool = False, services: str = "shop/web"
) -> tuple[int | None, str, list[str]]:
    warnings: list[str] = []
    module: t.Any = types.SimpleNamespace(check_mode=check_mode, warn=warnings.append)
    monkeypatch.setattr(notice_verification, "read_endpoints", envoy.read_endpoints)
    monkeypatch.setattr(notice_verification, "PodIndex", envoy)
    monkeypatch.setattr(notice_verification, "SECONDS", 0.0)
    notified = Notified(services.split())
    compared, why = node_topology._verify(
        t.cast(t.Any, mesh), ["n"], {"verify_notice": None}, module, notified, changed=True
    )
    return compared, why, warnings


def test_a_notice_is_verified_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Mesh(pod("p", "shop"), entered="shop")
    assert verified(monkeypatch, mesh, Envoy("r/z/new")) == (1, "", [])


@pytest.mark.parametrize(
    ("mesh", "envoy", "says"),
    [
        (Mesh(pod("p", "shop"), entered="shop"), Envoy("r/z/new", node="m"), "shop/p hold no endpoint on these nodes"),
        (Mesh(pod("p", "shop")), Envoy("r/z/new"), "pods/exec"),
        (Mesh(), Envoy("r/z/new"), "has no ready sidecar"),
        (Mesh(listed=False), Envoy("r/z/new"), "Not allowed to list pods"),
    ],
)
def test_what_is_not_verified_is_said(monkeypatch: pytest.MonkeyPatch, mesh: Mesh, envoy: Envoy, says: str) -> None:
    compared, why, (warning,) = verified(monkeypatch, mesh, envoy)
    assert (compared, says in why, says in warning) == (None, True, True), why
    assert "it is not verified that clients hold the new localities" in warning


def test_a_client_that_goes_on_holding_the_old_locality_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotReady, match=r"shop/p holds 10\.0\.0\.9:80 .* in r/z/old, not in r/z/new") as caught:
        verified(monkeypatch, Mesh(pod("p", "shop"), entered="shop"), Envoy("r/z/old"))
    assert caught.value.details["changed"] is True


@pytest.mark.parametrize(("check_mode", "services"), [(True, "shop/web"), (False, "")])
def test_nothing_was_told_so_there_is_nothing_to_verify(
    monkeypatch: pytest.MonkeyPatch, check_mode: bool, services: str
) -> None:
    mesh = Mesh(pod("p", "shop"), entered="shop")
    given = verified(monkeypatch, mesh, Envoy("r/z/old"), check_mode=check_mode, services=services)
    assert given == (None, "", [])


def test_clients_that_somebody_names_have_to_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def old(*_given: t.Any) -> t.NoReturn:
        raise NotReady("It holds another locality.")

    monkeypatch.setattr(notice_verification, "named_clients", lambda *_given: [])
    monkeypatch.setattr(notice_verification, "wait_for_localities", old)
    module: t.Any = types.SimpleNamespace(check_mode=False)
    params = {"verify_notice": {"wait_timeout": 1}}
    with pytest.raises(NotReady, match="another locality") as caught:
        node_topology._verify(t.cast(t.Any, None), ["n"], params, module, Notified(), changed=True)
    assert caught.value.details["changed"] is True
