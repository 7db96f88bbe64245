# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a mesh: a Lease that one drill holds at a time, and listener_drain while it chooses what to drain. And
the switch by which a person stops all drills.

Source: Kubernetes documentation, "Leases"; as in client-go's leader election, a holder is taken for gone when its Lease
was seen unchanged for its whole duration. The two clocks are never compared.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import LEASE

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

NAME = "meshops-drill"
#: Anything in this annotation of the Lease stops every drill, and keeps new ones from beginning.
STOP = "meshops.locality/stop"
DURATION = 15
POLL_SECONDS = 1.0


class LeaseHeld(Conflict):
    """Another drill, or somebody who drains, holds the lock and gives signs of life."""


class LeaseLost(Conflict):
    """The lock was ours, and is not any more."""


@dataclass(frozen=True)
class Lease:
    """What the Lease says. `holder` '' is nobody; `stop` is what a person wrote there."""

    namespace: str
    holder: str
    renewed: str
    duration: int
    version: str
    stop: str

    @classmethod
    def of(cls, item: Json) -> Lease:
        """Read the object."""
        metadata, spec = item["metadata"], item.get("spec") or {}
        return cls(
            metadata["namespace"],
            str(spec.get("holderIdentity") or ""),
            str(spec.get("renewTime") or ""),
            int(spec.get("leaseDurationSeconds") or DURATION),
            str(metadata.get("resourceVersion") or ""),
            str((metadata.get("annotations") or {}).get(STOP) or ""),
        )


def read(cluster: Cluster, namespace: str) -> Lease | None:
    """Return the Lease of the mesh whose lock lives in a namespace; None when there never was one."""
    item = cluster.get(LEASE, NAME, namespace)
    return Lease.of(item) if item is not None else None


def acquire(cluster: Cluster, namespace: str, holder: str, *, dry_run: bool = False) -> Lease:
    """Take the lock. One whose holder gives no sign of life for its whole duration is taken over.

    Raises LeaseHeld when another holder gives signs of life. `dry_run`: the API server is asked, and nothing written.
    """
    known: Lease | None = None
    since = time.monotonic()
    while True:
        lease = read(cluster, namespace)
        try:
            if lease is None:
                return _create(cluster, namespace, holder, dry_run)
            if not lease.holder or lease.holder == holder:
                return _take(cluster, lease, holder, dry_run)
            if known is not None and lease.renewed == known.renewed and lease.holder == known.holder:
                if time.monotonic() - since >= lease.duration:
                    return _take(cluster, lease, holder, dry_run)
            elif known is not None:
                raise LeaseHeld(
                    f"{lease.holder} has the lock of this mesh (Lease {namespace}/{NAME}).",
                    do="Wait until it has ended: two drills or drains at once could take all pods of a Service.",
                    status=409,
                )
            else:
                known, since = lease, time.monotonic()
        except LeaseHeld:
            raise
        except Conflict:
            known = None
        time.sleep(POLL_SECONDS)


def renew(cluster: Cluster, lease: Lease) -> Lease:
    """Give a sign of life; the answer says whether a person stopped drills.

    Raises LeaseLost when the lock is not ours any more.
    """
    try:
        return Lease.of(
            cluster.merge_patch(
                LEASE,
                NAME,
                {"metadata": {"resourceVersion": lease.version}, "spec": {"renewTime": _now()}},
                lease.namespace,
            )
        )
    except Conflict:
        # A person's annotation changes the version, too, and so does a renewal whose answer got lost.
        live = read(cluster, lease.namespace)
        if live is None or live.holder != lease.holder:
            owner = (live.holder if live else "") or "nobody"
            raise LeaseLost(
                f"The lock (Lease {lease.namespace}/{NAME}) belongs to {owner} now.",
                status=409,
            ) from None
        return live


def release(cluster: Cluster, lease: Lease) -> None:
    """Give the lock back, if it is still ours."""
    live = read(cluster, lease.namespace)
    if live is None or live.holder != lease.holder:
        return
    cluster.merge_patch(
        LEASE,
        NAME,
        {"metadata": {"resourceVersion": live.version}, "spec": {"holderIdentity": None, "renewTime": None}},
        lease.namespace,
    )


def set_stop(cluster: Cluster, namespace: str, reason: str, *, dry_run: bool = False) -> bool:
    """Stop all drills of the mesh with a reason, or let them run again with ''; return whether that changed it."""
    if "\n" in reason:
        raise InvalidInput("The reason to stop drills has more than one line.", do="Write one sentence.")
    lease = read(cluster, namespace)
    if (lease.stop if lease else "") == reason:
        return False
    if lease is None:
        _create(cluster, namespace, "", dry_run, reason)
        return True
    # Not guarded by the version: a person's stop must not lose against a renewal.
    cluster.merge_patch(LEASE, NAME, {"metadata": {"annotations": {STOP: reason or None}}}, namespace, dry_run=dry_run)
    return True


def _create(cluster: Cluster, namespace: str, holder: str, dry_run: bool, stop: str = "") -> Lease:
    spec: Json = {"leaseDurationSeconds": DURATION}
    if holder:
        spec |= {"holderIdentity": holder, "acquireTime": _now(), "renewTime": _now()}
    body = {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {"name": NAME, "namespace": namespace, "annotations": {STOP: stop} if stop else {}},
        "spec": spec,
    }
    query = {"dryRun": "All" if dry_run else None}
    return Lease.of(cluster.request("create", "POST", LEASE.path(namespace), query=query, body=body))


def _take(cluster: Cluster, lease: Lease, holder: str, dry_run: bool) -> Lease:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": DURATION, "acquireTime": _now(), "renewTime": _now()}
    body = {"metadata": {"resourceVersion": lease.version}, "spec": spec}
    return Lease.of(cluster.merge_patch(LEASE, NAME, body, lease.namespace, dry_run=dry_run))


def _now() -> str:
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06d}Z"
