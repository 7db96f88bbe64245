# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the TLS that a client's rule asks for is one that the pods behind it take.

Without a rule istiod's automatic mutual TLS fits the pods' PeerAuthentications. A DestinationRule's `tls` is followed
whether it fits or not; where it does not, every request to the pod fails.
Source: istio 1.31 pilot/pkg/security/authn/policy_applier.go (ComposePeerAuthentication),
pilot/pkg/model/authentication.go (getConfigsForWorkload) and pilot/pkg/networking/core/cluster_tls.go
(buildUpstreamTLSSettings).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.ambient_mode import in_ambient
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import Group, Member
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import mapping
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Pod, Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import (
    CANNOT_END_MUTUAL_TLS,
    NEED_MUTUAL_TLS,
)

STRICT, PERMISSIVE, DISABLE = "STRICT", "PERMISSIVE", "DISABLE"


class Refusal(t.NamedTuple):
    """Pods that take no request of a client: `members` of `total`.

    `setting` decides what clients send; `mutual` says whether that is mutual TLS, which the pods cannot end, or none,
    which a PeerAuthentication asks for.
    """

    members: tuple[Member, ...]
    total: int
    setting: str
    mutual: bool

    @property
    def by_all(self) -> bool:
        """Whether no endpoint takes a request."""
        return len(self.members) == self.total

    @property
    def why(self) -> str:
        """Why they refuse, in words."""
        return (CANNOT_END_MUTUAL_TLS if self.mutual else NEED_MUTUAL_TLS).format(setting=self.setting)


class MutualTls:
    """What the pods of a snapshot take."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._rules = sorted(
            snapshot.peer_authentications, key=lambda authentication: (authentication.created, authentication.name)
        )
        #: Whether istiod makes TLS fit where no rule has any.
        self.automatic = snapshot.mesh.config.get("enableAutoMtls") is not False

    def accepted_mode(self, pod: Pod, port: int) -> str:
        """Return what a pod's sidecar takes on a port: STRICT (mutual TLS only), PERMISSIVE (both) or DISABLE."""
        root = self._snapshot.mesh.root_namespace
        places = (pod.namespace, root) if pod.namespace != root else (root,)
        mesh = own = workload = None
        for policy in (rule for rule in self._rules if rule.namespace in places):
            labels = mapping((mapping(policy.spec.get("selector")) or {}).get("matchLabels")) or {}
            if any(pod.labels.get(str(name)) != str(value) for name, value in labels.items()):
                continue
            if labels:
                workload = workload or (policy if policy.namespace != root else None)
            elif policy.namespace == root:
                mesh = mesh or policy
            else:
                own = own or policy
        mode = PERMISSIVE
        for nearer in (mesh, own, workload):
            mode = _mode(nearer.spec.get("mtls") if nearer else None) or mode
        ports = mapping(workload.spec.get("portLevelMtls")) if workload else None
        for number, mtls in (ports or {}).items():
            if str(number) == str(port):
                mode = _mode(mtls) or mode
        return mode

    def refused(self, tls: t.Mapping[str, t.Any] | None, groups: t.Iterable[Group]) -> Refusal | None:
        """Return the members that take no request with this `tls` of a rule (None: it has none); None without any."""
        sent = str(tls.get("mode") or DISABLE) if tls is not None else "" if self.automatic else DISABLE
        if sent not in (DISABLE, "SIMPLE", "ISTIO_MUTUAL"):
            return None
        members = [member for group in groups for member in group.members]
        known = self._snapshot.pod_by_key
        refusing = [
            member
            for member in members
            if (pod := known.get(member.pod)) is not None
            and not member.behind
            and self._refuses(pod, member.port, sent)
        ]
        if not refusing:
            return None
        setting = f"tls.mode {sent}" if tls is not None else "enableAutoMtls: false in the mesh config"
        return Refusal(tuple(refusing), len(members), setting, sent == "ISTIO_MUTUAL")

    def _refuses(self, pod: Pod, port: int, sent: str) -> bool:
        if sent != "ISTIO_MUTUAL":
            return pod.proxy == "sidecar" and self.accepted_mode(pod, port) == STRICT
        if pod.proxy == "sidecar":
            return self.accepted_mode(pod, port) == DISABLE
        # Whether a pod of a manifest has a sidecar is known only with its Namespace; in ambient mode ztunnel decides.
        namespace = self._snapshot.namespace_by_name.get(pod.namespace)
        return not pod.proxy and namespace is not None and not in_ambient(self._snapshot, pod)


def _mode(given: t.Any) -> str:
    """Return a PeerAuthentication's mode, '' for one that is inherited."""
    mode = (mapping(given) or {}).get("mode")
    return str(mode) if mode in (STRICT, PERMISSIVE, DISABLE) else ""
