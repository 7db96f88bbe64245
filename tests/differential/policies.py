# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated trafficPolicies, and the settings of the mesh that stand in for them."""

from __future__ import annotations

import typing as t

from .mesh_choices import NETWORK, REGION, REGIONS, SUBZONE, ZONE, Dice, Json

KEYS = (
    REGION,
    ZONE,
    SUBZONE,
    NETWORK,
    "topology.istio.io/cluster",
    "kubernetes.io/hostname",
    "version",
    "tier",
    "misspelt",
    "version=v1",
    "tier=gold=x",
    f"{REGION}=r2",
    f"{NETWORK}=n1",
    "tier=",
)
ORIGINS = ("*", "r1/*", "r1/z1/*", "r1", "r1/z1/s1", "r2/*", "r2", "r1/z1", "us-*")
TARGETS = ("r1/*", "r1/z1/*", "r1/z1/s1", "r1/z1/s2", "r1/z2/*", "r2/*", "r2/z1/*", "r3", "*", "r9/*", "us-*")
#: No two of these match one locality.
APART = ("r1/z1/s1", "r1/z2/*", "r2/*", "r3", "r9/*")


class Policies:
    """Makes policies. `zone_aware`: with what only Istio 1.31 and later know."""

    def __init__(self, dice: Dice, zone_aware: bool) -> None:
        self.dice = dice
        self.zone_aware = zone_aware

    def policy(self, *, ports: bool = False) -> Json:
        """Return a trafficPolicy, or the settings of a port."""
        chance, pick = self.dice.chance, self.dice.pick
        policy: Json = {}
        if chance(0.7):
            policy["loadBalancer"] = self.load_balancer()
        if chance(0.7):
            policy["outlierDetection"] = self.outlier_detection()
        if chance(0.2):
            policy["connectionPool"] = {"http": {"maxRequestsPerConnection": pick((0, 1, 10))}}
        if chance(0.1):
            tcp = {"connectTimeout": pick(("1s", "250ms", "10s"))}
            policy["connectionPool"] = {**policy.get("connectionPool", {}), "tcp": tcp}
        if chance(0.1):
            policy["tls"] = {"mode": pick(("DISABLE", "ISTIO_MUTUAL"))}
        if ports and chance(0.18):
            policy["portLevelSettings"] = [
                {"port": {"number": number}, **self.policy()} for number in self.dice.several((80, 80, 81, 443), 1, 3)
            ]
        return policy

    def load_balancer(self) -> Json:
        """Return a loadBalancer."""
        chance, pick = self.dice.chance, self.dice.pick
        balancer: Json = {}
        if chance(0.3):
            balancer["simple"] = pick(("LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "UNSPECIFIED", "PASSTHROUGH"))
        elif chance(0.1):
            hashes = (
                {"httpHeaderName": "x"},
                {"useSourceIp": True, "maglev": {}},
                {"httpHeaderName": "x", "ringHash": {}},
            )
            balancer["consistentHash"] = pick(hashes)
        if self.zone_aware and chance(0.1):
            balancer["zoneAwareLbSetting"] = self.zone_aware_setting()
            if chance(0.2):
                balancer["localityLbSetting"] = self.locality_setting()
        elif chance(0.75):
            balancer["localityLbSetting"] = self.locality_setting()
        return balancer

    def failover(self) -> list[Json]:
        """Return failover entries; several for one region are common."""
        if self.dice.chance(0.35):
            first, *others = self.dice.random.sample(REGIONS, 3)
            return [{"from": first, "to": to} for to in others]
        origins = self.dice.several(REGIONS, 1, 3)
        return [
            {"from": origin, "to": self.dice.pick([to for to in (*REGIONS, "r9") if to != origin])}
            for origin in origins
        ]

    def keys(self) -> list[str]:
        """Return a failoverPriority."""
        if self.dice.chance(0.35):
            return list(self.dice.pick(([NETWORK, REGION, ZONE], [REGION, ZONE], [REGION, ZONE, SUBZONE])))
        return self.dice.several(KEYS, 1, 4)

    def locality_setting(self, *, valid: bool = False) -> Json:
        """Return a localityLbSetting; `valid`: none that istiod refuses (of a rule its webhook would)."""
        chance = self.dice.chance
        setting: Json = {}
        kind = self.dice.random.random()
        if kind < 0.3:
            setting["failover"] = self.failover()
        elif kind < 0.6:
            setting["failoverPriority"] = self.keys()
            if chance(0.3):
                setting["failover"] = self.failover()
        elif kind < 0.85:
            setting["distribute"] = [self.distribution() for _n in range(self.dice.random.randint(1, 2))]
            if chance(0.15):
                setting["failoverPriority"] = self.keys()
            if chance(0.1):
                setting["failover"] = self.failover()
        if chance(0.25):
            setting["enabled"] = chance(0.6)
        if valid and "distribute" in setting:
            setting.pop("failover", None)
            setting["distribute"] = [self.distribution(APART)]
        if valid and "failover" in setting:
            keys = [key for key in setting.get("failoverPriority", ()) if key not in (REGION, ZONE, SUBZONE)]
            setting["failoverPriority"] = keys
        return setting

    def distribution(self, among: t.Sequence[str] = TARGETS) -> Json:
        """Return one entry of distribute, whose weights are 100 together."""
        random = self.dice.random
        targets = random.sample(among, random.randint(1, 3))
        cuts = sorted(random.sample(range(1, 100), len(targets) - 1))
        weights = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]
        return {"from": self.dice.pick(ORIGINS), "to": dict(zip(targets, weights, strict=True))}

    def zone_aware_setting(self) -> Json:
        """Return a zoneAwareLbSetting."""
        chance, pick = self.dice.chance, self.dice.pick
        setting: Json = {}
        if chance(0.4):
            setting["failover"] = self.failover()
        if chance(0.3):
            setting["failoverPriority"] = [pick(("version", "tier", NETWORK))]
        if chance(0.3):
            setting["enabled"] = chance(0.6)
        if chance(0.3):
            setting["minClusterSize"] = pick((0, 3, 6))
        return setting

    def outlier_detection(self) -> Json:
        """Return an outlierDetection; an empty one counts, too."""
        chance, pick = self.dice.chance, self.dice.pick
        if chance(0.15):
            return {}
        block: Json = {}
        for name in ("consecutive5xxErrors", "consecutiveGatewayErrors"):
            if chance(0.5):
                block[name] = pick((0, 1, 5, 7))
        if chance(0.05):
            block["consecutiveErrors"] = 3
        if chance(0.2):
            block["splitExternalLocalOriginErrors"] = True
        if chance(0.2):
            block["consecutiveLocalOriginFailures"] = pick((0, 1, 5))
        if chance(0.4):
            block["interval"] = pick(("1s", "10s", "1m"))
        if chance(0.4):
            block["baseEjectionTime"] = pick(("30s", "1m", "3m"))
        if chance(0.4):
            block["maxEjectionPercent"] = pick((0, 10, 34, 50, 100))
        if chance(0.25):
            block["minHealthPercent"] = pick((0, 1, 50, 100))
        return block

    def retries(self) -> Json:
        """Return what a VirtualService's route or the mesh says about retries."""
        chance, pick = self.dice.chance, self.dice.pick
        policy: Json = {"attempts": pick((0, 1, 2, 3))}
        if chance(0.4):
            policy["retryOn"] = pick(
                ("5xx", "gateway-error,reset", "503", "connect-failure,retriable-status-codes,503")
            )
        if chance(0.3):
            policy["retryRemoteLocalities"] = chance(0.7)
        if chance(0.2):
            policy["retryIgnorePreviousHosts"] = chance(0.5)
        if chance(0.3):
            policy["perTryTimeout"] = pick(("1s", "250ms"))
        return policy

    def mesh(self) -> Json:
        """Return a mesh config: Istio's default with little else, most of the time."""
        chance, pick = self.dice.chance, self.dice.pick
        config: Json = {}
        if chance(0.2):
            config["localityLbSetting"] = self.locality_setting(valid=True)
        if self.zone_aware and chance(0.06):
            config["zoneAwareLbSetting"] = self.zone_aware_setting()
        if self.zone_aware and chance(0.08):
            default: Json = {"outlierDetection": self.outlier_detection()} if chance(0.8) else {}
            if chance(0.4):
                default["connectionPool"] = {"http": {"maxRequestsPerConnection": pick((1, 10))}}
            config["defaultTrafficPolicy"] = default
        for name in ("defaultDestinationRuleExportTo", "defaultServiceExportTo", "defaultVirtualServiceExportTo"):
            if chance(0.06):
                config[name] = [pick((".", "*") if name == "defaultDestinationRuleExportTo" else (".", "*", "b"))]
        if chance(0.1):
            config["defaultHttpRetryPolicy"] = self.retries()
        if chance(0.05):
            config["connectTimeout"] = pick(("2s", "500ms"))
        if chance(0.03):
            config["rootNamespace"] = "b"
        if chance(0.03):
            config["discoverySelectors"] = [{"matchLabels": {"mesh": "yes"}}]
        return config

    def rule(self, host: str) -> Json:
        """Return the spec of a DestinationRule."""
        chance, pick = self.dice.chance, self.dice.pick
        spec: Json = {"host": host}
        if chance(0.92):
            spec["trafficPolicy"] = self.policy(ports=True)
        if chance(0.3):
            spec["subsets"] = [self.subset(version) for version in pick((["v1"], ["v1", "v2"], ["v2"]))]
        if chance(0.35):
            spec["exportTo"] = self.dice.exports()
        if chance(0.14):
            labels = pick(({"app": "client"}, {"app": "client"}, {"version": "v1"}, {"app": "nobody"}, {}))
            spec["workloadSelector"] = {"matchLabels": labels} if labels or chance(0.5) else {}
            spec.pop("exportTo", None)
        return spec

    def subset(self, name: str) -> Json:
        """Return a subset."""
        chance, pick = self.dice.chance, self.dice.pick
        labels: t.Any = {"version": name}
        if chance(0.2):
            labels = pick(({}, {"tier": "gold"}, {"version": name, "tier": "gold"}, {"app": "vm"}, {REGION: "r1"}))
        subset: Json = {"name": name, "labels": labels}
        if chance(0.5):
            subset["trafficPolicy"] = self.policy(ports=True)
        return subset
