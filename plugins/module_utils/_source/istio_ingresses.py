# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ingresses of Kubernetes that istiod makes routes of; none of them is read, so a result names them.

Source: istio 1.31 pilot/pkg/config/kube/ingress/virtualservices.go, shouldProcessIngressWithClass.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged, unjudged

Json = dict[str, t.Any]

GROUP = "networking.k8s.io"
INGRESS, INGRESS_CLASS = "Ingress", "IngressClass"
_ANNOTATION = "kubernetes.io/ingress.class"
_CONTROLLER = "istio.io/ingress-controller"
#: How many of them are named.
_NAMED = 5


class _Classes(t.NamedTuple):
    """What an Ingress says of its class; None: nothing."""

    annotation: str | None
    name: str | None


@dataclass
class Ingresses:
    """The Ingresses and IngressClasses that were met."""

    listed: dict[str, _Classes] = field(default_factory=dict)
    controllers: dict[str, str] = field(default_factory=dict)

    def note(self, item: Json, default_namespace: str = "default") -> None:
        """Take an object of one of the two kinds."""
        reading = Reading.silent()
        metadata = reading.mapping(item.get("metadata"), "")
        spec = reading.mapping(item.get("spec"), "")
        name = reading.text(metadata.get("name"), "") or "(no name)"
        if item.get("kind") == INGRESS_CLASS:
            self.controllers[name] = reading.text(spec.get("controller"), "")
            return
        annotations = reading.mapping(metadata.get("annotations"), "")
        given, named = annotations.get(_ANNOTATION), spec.get("ingressClassName")
        namespace = reading.text(metadata.get("namespace"), "") or default_namespace
        self.listed[f"{namespace}/{name}"] = _Classes(
            None if given is None else str(given), None if named is None else str(named)
        )

    def and_of(self, other: Ingresses) -> Ingresses:
        """Return these with others, which replace those of the same name."""
        return Ingresses({**self.listed, **other.listed}, {**self.controllers, **other.controllers})

    def not_judged(self, mesh_config: t.Mapping[str, t.Any]) -> list[NotJudged]:
        """Return the entry that names those that are Istio's."""
        own = [f"{INGRESS} {name}" for name, classes in self.listed.items() if self._of_istio(classes, mesh_config)]
        if not own:
            return []
        return [
            unjudged(
                "kind-not-read",
                len(own),
                kind=INGRESS,
                objects=first_names(own, _NAMED),
                effect="requests that enter by them",
            )
        ]

    def _of_istio(self, classes: _Classes, mesh_config: t.Mapping[str, t.Any]) -> bool:
        given = mesh_config.get("ingressControllerMode")
        mode = "OFF" if given is False else str(given or "STRICT")  # without quotes YAML reads OFF as false
        if classes.annotation is not None:
            return mode != "OFF" and classes.annotation == str(mesh_config.get("ingressClass") or "istio")
        if classes.name in self.controllers:
            return self.controllers[classes.name] == _CONTROLLER
        # Of a class that is not among the objects only the name can tell.
        return mode == "DEFAULT" or (classes.name is not None and "istio" in classes.name.lower())
