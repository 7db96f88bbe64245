# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sandbox asks the API server while it boots and for its status. Plain HTTPS: importing a client library
takes longer."""

from __future__ import annotations

import typing as t

import requests

from meshops_sandbox.layout import Layout


class ApiServer:
    """The API server of one sandbox, as the super admin. Methods raise requests.RequestException when it does not
    answer."""

    def __init__(self, layout: Layout, timeout: float = 5.0) -> None:
        self._base = layout.api_server
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the host has no way to the bridge
        self._session.verify = str(layout.pki / "ca.crt")
        self._session.cert = str(layout.pki / "super-admin.pem")

    def ready(self) -> bool:
        """Whether /readyz says ok."""
        try:
            return self._session.get(f"{self._base}/readyz", timeout=self._timeout).status_code == 200
        except (requests.RequestException, OSError):
            return False

    def get(self, path: str) -> dict[str, t.Any]:
        """The object or list at `path`; {} when there is none."""
        answer = self._session.get(self._base + path, timeout=self._timeout)
        if answer.status_code == 404:
            return {}
        answer.raise_for_status()
        return t.cast("dict[str, t.Any]", answer.json())

    def merge(self, path: str, patch: dict[str, t.Any]) -> None:
        """Merge `patch` into the object at `path`."""
        self._session.patch(
            self._base + path,
            json=patch,
            timeout=self._timeout,
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()

    def nodes(self) -> dict[str, bool]:
        """{node name: is Ready} of all nodes that have registered."""
        return {
            item["metadata"]["name"]: _condition(item, "Ready") for item in self.get("/api/v1/nodes").get("items", [])
        }

    def available(self, namespace: str, deployment: str) -> bool:
        """Whether all replicas of the Deployment are available. False when there is no such Deployment."""
        status = self.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}").get("status", {})
        return bool(status.get("availableReplicas")) and not status.get("unavailableReplicas")


def _condition(item: dict[str, t.Any], kind: str) -> bool:
    conditions = item.get("status", {}).get("conditions", [])
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)
