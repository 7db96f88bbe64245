# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where something is: region, zone and subzone, read the way istiod reads them.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"
SUBZONE_LABEL = "topology.istio.io/subzone"
LEGACY_REGION_LABEL = "failure-domain.beta.kubernetes.io/region"
LEGACY_ZONE_LABEL = "failure-domain.beta.kubernetes.io/zone"
LOCALITY_LABEL = "topology.istio.io/locality"
LEGACY_LOCALITY_LABEL = "istio-locality"
NETWORK_LABEL = "topology.istio.io/network"
CLUSTER_LABEL = "topology.istio.io/cluster"
HOSTNAME_LABEL = "kubernetes.io/hostname"
#: The labels that say where a node is, the widest place first.
PLACE_LABELS = (REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL)

Labels = t.Mapping[str, str]


class Locality(t.NamedTuple):
    """A place. Empty parts are unknown; `Locality()` is nowhere and false in a condition."""

    region: str = ""
    zone: str = ""
    subzone: str = ""

    @classmethod
    def parse(cls, text: str) -> Locality:
        """Read `region[/zone[/subzone]]`; what follows a third slash is ignored.

        Source: istio 1.31 pilot/pkg/serviceregistry/util/label/label.go, SplitLocalityLabel.
        """
        return cls(*text.split("/")[:3])

    @classmethod
    def from_node_labels(cls, labels: Labels) -> Locality:
        """Read the labels of a Node; the failure-domain.beta labels apply where the current ones are absent or empty.

        Source: istio 1.31 pilot/pkg/serviceregistry/kube/controller/controller.go, getPodLocality.
        """
        return cls(
            labels.get(REGION_LABEL) or labels.get(LEGACY_REGION_LABEL) or "",
            labels.get(ZONE_LABEL) or labels.get(LEGACY_ZONE_LABEL) or "",
            labels.get(SUBZONE_LABEL) or "",
        )

    def __bool__(self) -> bool:
        return bool(self.region or self.zone or self.subzone)

    def __str__(self) -> str:
        """Return `region/zone/subzone` without empty parts at the end (as istiod's LocalityToString); nowhere is ''."""
        return f"{self.region}/{self.zone}/{self.subzone}".rstrip("/")
