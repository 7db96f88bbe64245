# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated scenarios, whole ones: a mesh, its routes, a fault, and how long somebody watches.

istiod's own code (the oracle) makes routes, clusters and endpoints of the mesh; a real Envoy gets them, with the lost
endpoints broken from the first request on, and requests at a steady pace. The forecast is that of the filter
locality_forecast, of the same objects. Two things are compared:

- failed requests. They may differ from the forecast by 4, by 15 % of those that fail until something ends them, and by
  4 standard deviations of the chance that each request has where only a part of them fails (in 60 scenarios together
  that is too little in 0.4 % of the runs). Where hosts come back from an ejection, the forecast's own bounds count,
  too.
- the shares of the localities once everything has settled, by the exact binomial test of forecast_fit.py: Holm's
  method keeps the chance of even one wrong rejection of a run below forecast_fit.LEVEL.

Runs in which requests could not be sent at a steady pace say nothing, and are repeated.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import typing as t
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Ability, Selection, forecast
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh
from tests.differential.oracle import Oracle

from . import forecast_fit
from .process import Broken, Envoy, Json, Ports, Request, bootstrap, ports
from .transitions import TRIES, restlessness

RATE = 40.0
#: A run in which nothing took longer than this (seconds) is calm.
CALM = 0.6
#: Requests by which the shares are measured.
COUNTED = 800
AT_ONCE = 5
ZONES = ("r1/z1", "r1/z2", "r2/z3")
HOST = "web.shop.svc.cluster.local"
_PORT = {"refused": "nobody", "gateway_error": "error", "reset": "close"}
_TYPE = "type.googleapis.com/envoy"


@dataclass(frozen=True)
class Scenario:
    """`objects` of the mesh; `lost`: the pods that break; `path` '/' or that of another class of requests."""

    number: int
    objects: t.Sequence[Json]
    lost: t.Sequence[str]
    fault: str
    seconds: float
    path: str
    what: str

    @property
    def name(self) -> str:
        """Its name in paths and clusters."""
        return f"s{self.number}"

    def forecast(self, objects: t.Sequence[Json] | None = None, lost: t.Sequence[str] | None = None) -> Json:
        """Return the row's loss of locality_forecast, of other objects or losses on request."""
        pods = self.lost if lost is None else lost
        prediction = forecast(
            build(self.objects if objects is None else objects, mesh=Mesh(version="1.31")),
            Selection(services=("web",), clients=("app=client",)),
            losses=[[{"level": "pod", "place": pod} for pod in pods]],
            faults=[self.fault],
            readiness=600.0,
            ability=Ability(rate=RATE, lose_clients=False),
            watch=Watch(RATE, 0, self.seconds),
        )
        wanted = "uri prefix /new" if self.path == "/new" else ""
        row = next(
            (candidate for candidate in prediction["rows"] if wanted in candidate["requests"].split(" or ")),
            prediction["rows"][0],
        )
        return {**t.cast("Json", row["losses"][0]), "now": row["now"]}


def scenarios(number: int, seed: int) -> list[Scenario]:
    """Return so many scenarios; the same seed makes the same ones."""
    return [_scenario(index, Random(seed * 1000 + index)) for index in range(number)]


def _pod(name: str, zone: str, address: str, labels: Json, *, proxy: bool = False) -> Json:
    containers = [{"name": "app"}, *([{"name": "istio-proxy", "args": ["proxy", "sidecar"]}] if proxy else [])]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"nodeName": f"node-{zone.partition('/')[2]}", "containers": containers},
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _service(name: str, pods: list[Json], address: str) -> list[Json]:
    metadata = {"name": name, "namespace": "shop"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": address,
                "selector": {"app": name},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [pod["status"]["podIP"]],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod["metadata"]["name"]},
                }
                for pod in pods
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        },
    ]


def _istio(kind: str, name: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _scenario(number: int, random: Random) -> Scenario:
    pick = random.choice
    objects: list[Json] = []
    for zone in ZONES:
        region, _slash, name = zone.partition("/")
        labels = {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": name}
        objects.append({"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{name}", "labels": labels}})
    serial = 0
    pods: dict[str, list[Json]] = {"web": [], "api": []}
    for app, zones in (("web", ZONES), ("api", (pick(ZONES), pick(ZONES)))):
        for zone in zones:
            for _n in range(pick((1, 1, 2, 3))):
                serial += 1
                version = pick(("v1", "v2"))
                labels = {"app": app, "version": version}
                pods[app].append(_pod(f"{app}-{serial}", zone, f"10.9.0.{serial}", labels))
    client = _pod("client", "r1/z1", "10.8.0.1", {"app": "client"}, proxy=True)
    objects += [*pods["web"], *pods["api"], client]
    objects += [*_service("web", pods["web"], "10.96.0.1"), *_service("api", pods["api"], "10.96.0.2")]
    waves = random.random() < 0.15
    rules = _rules(random, waves)
    routes, path, kind = _routes(random)
    objects += [*rules, *routes]
    zone = pick((*ZONES[:2], ZONES[0]))
    node = f"node-{zone.partition('/')[2]}"
    everything = [*pods["web"], *pods["api"]]
    lost = [pod["metadata"]["name"] for pod in everything if pod["spec"]["nodeName"] == node]
    if random.random() < 0.3:
        version = pick(("v1", "v2"))
        lost = [pod["metadata"]["name"] for pod in everything if pod["metadata"]["labels"]["version"] == version]
    if not lost:
        lost = [everything[0]["metadata"]["name"]]
    fault = pick(("refused", "refused", "gateway_error", "reset"))
    seconds = 9.0 if waves else pick((3.0, 4.0, 5.0))
    description = (
        f"{kind}{', ejections of 3 s' if waves else ''}, {fault}, {len(lost)} of {len(everything)} pods, {seconds:g} s"
    )
    return Scenario(number, objects, [f"shop/{name}" for name in sorted(lost)], fault, seconds, path, description)


def _rules(random: Random, waves: bool) -> list[Json]:
    pick = random.choice
    rules = []
    for name in ("web", "api"):
        detection: Json = {
            "interval": "1s",
            "baseEjectionTime": "3s" if waves else "120s",
            "maxEjectionPercent": pick((100, 100, 100, 50)),
            "consecutive5xxErrors": pick((1, 1, 2, 3)),
        }
        policy: Json = {"loadBalancer": {"simple": pick(("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"))}}
        if waves or random.random() < 0.85:
            policy["outlierDetection"] = detection
            if random.random() < 0.5:
                policy["loadBalancer"]["localityLbSetting"] = {"enabled": True}
        subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
        rules.append(_istio("DestinationRule", name, {"host": name, "trafficPolicy": policy, "subsets": subsets}))
    return rules


def _routes(random: Random) -> tuple[list[Json], str, str]:
    """Return the routes of the host, the path of the requests, and what they are, for people."""
    pick = random.choice

    def to(host: str, subset: str = "", weight: int = 0) -> Json:
        destination = {"host": host, **({"subset": subset} if subset else {})}
        return {"destination": destination, **({"weight": weight} if weight else {})}

    share = pick((10, 30, 50, 80))
    kinds: dict[str, Json] = {
        "weights over subsets": {"route": [to("web", "v1", share), to("web", "v2", 100 - share)]},
        "one subset": {"route": [to("web", pick(("v1", "v2")))]},
        "another host": {"route": [to("api")]},
        "weights over hosts": {"route": [to("web", "", share), to("api", "", 100 - share)]},
        "a subset that there is not": {"route": [to("web", "v1", share), to("web", "v9", 100 - share)]},
        "an abort": {
            "route": [to("web")],
            "fault": {"abort": {"httpStatus": 503, "percentage": {"value": pick((10, 30))}}},
        },
    }
    kind = pick(("no route", *kinds, "two classes", "two classes"))
    if kind == "no route":
        return [], "/", kind
    main = kinds[pick([*kinds])] if kind == "two classes" else kinds[kind]
    if random.random() < 0.5:
        main["retries"] = pick(({"attempts": 0}, {"attempts": 2, "retryOn": "5xx,reset"}, {"attempts": 1}))
    http = [main]
    path = "/"
    if kind == "two classes":
        http.insert(0, {"match": [{"uri": {"prefix": "/new"}}], "route": [to("web", pick(("v1", "v2")))]})
        path = pick(("/", "/new", "/new"))
    return [_istio("VirtualService", "web", {"hosts": [HOST], "http": http})], path, f"{kind}, requests to {path}"


def _cluster(name: str, answer: Json, addresses: t.Mapping[str, str], broken: t.Mapping[str, int], ok: int) -> Json:
    """Return a cluster of istiod's as one of this Envoy's own."""
    levels = []
    for group in answer["groups"]:
        endpoints = []
        for endpoint in group["endpoints"]:
            ip = endpoint["address"].partition(":")[0]
            place = {"address": addresses[ip], "port_value": broken.get(ip, ok)}
            weight = {"load_balancing_weight": endpoint["weight"]} if endpoint["weight"] else {}
            endpoints.append({"endpoint": {"address": {"socket_address": place}}, **weight})
        level: Json = {
            "priority": group["priority"],
            "locality": {"region": group["region"], "zone": group["zone"], "sub_zone": group["sub_zone"]},
            "lb_endpoints": endpoints,
        }
        if group["weight"]:
            level["load_balancing_weight"] = group["weight"]
        levels.append(level)
    common: Json = {}
    if answer["panic_threshold"] is not None:
        common["healthy_panic_threshold"] = {"value": answer["panic_threshold"]}
    if answer["locality_weighted"]:
        common["locality_weighted_lb_config"] = {}
    cluster = {
        "name": name,
        "type": "STATIC",
        "lb_policy": answer["lb_policy"],
        "connect_timeout": answer["connect_timeout"],
        "common_lb_config": common,
        "circuit_breakers": {"thresholds": [{"max_retries": 2**32 - 1}]},
        "load_assignment": {"cluster_name": name, "endpoints": levels},
    }
    if answer["outlier_detection"] is not None:
        cluster["outlier_detection"] = answer["outlier_detection"]
    return cluster


def _route(name: str, answer: Json) -> Json:
    """Return a route of istiod's, behind the path of its scenario."""
    match = {answer["path"]: f"/{name}{answer['text']}"}
    clusters = [
        {"name": f"{name} {cluster['cluster']}", "weight": round(cluster["weight"])} for cluster in answer["clusters"]
    ]
    action: Json = {"timeout": "0s"}
    if len(clusters) == 1:
        action["cluster"] = clusters[0]["name"]
    else:
        action["weighted_clusters"] = {"clusters": clusters}
    retry = answer["retry"]
    if retry["num_retries"]:
        retries = f"{_TYPE}.extensions.retry"
        action["retry_policy"] = {
            "retry_on": retry["retry_on"].lstrip(","),
            "num_retries": retry["num_retries"],
            "host_selection_retry_max_attempts": 5,
        }
        if retry["retry_host_predicate"]:
            kind = f"{retries}.host.previous_hosts.v3.PreviousHostsPredicate"
            predicate = {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": kind}}
            action["retry_policy"]["retry_host_predicate"] = [predicate]
    route: Json = {"match": match, "route": action}
    if answer["abort"]:
        abort = {
            "http_status": answer["abort_status"],
            "percentage": {"numerator": round(1e6 * answer["abort"]), "denominator": "MILLION"},
        }
        kind = f"{_TYPE}.extensions.filters.http.fault.v3.HTTPFault"
        route["typed_per_filter_config"] = {"envoy.filters.http.fault": {"@type": kind, "abort": abort}}
    return route


def _configuration(some: t.Sequence[Scenario], answers: t.Sequence[Json], used: Ports) -> tuple[Json, dict[str, str]]:
    """Return Envoy's configuration for these scenarios, and the locality of each of its addresses."""
    clusters: dict[str, Json] = {}
    routes: list[Json] = []
    places: dict[str, str] = {}
    for scenario, answer in zip(some, answers, strict=True):
        if answer["error"]:
            raise Broken(f"istiod: {answer['error']}")
        (client,) = answer["clients"]
        pods = {item["status"]["podIP"]: item for item in scenario.objects if item["kind"] == "Pod"}
        addresses = {
            ip: f"127.{60 + scenario.number // 200}.{scenario.number % 200 + 1}.{ip.rpartition('.')[2]}" for ip in pods
        }
        by_node = {f"node-{zone.partition('/')[2]}": zone for zone in ZONES}
        places.update({addresses[ip]: by_node[pod["spec"]["nodeName"]] for ip, pod in pods.items()})
        broken = {
            ip: getattr(used, _PORT[scenario.fault])
            for ip, pod in pods.items()
            if f"shop/{pod['metadata']['name']}" in scenario.lost
        }
        for cluster in client["clusters"]:
            name = f"{scenario.name} {cluster['name']}"
            clusters[name] = _cluster(name, cluster, addresses, broken, used.ok)
        routes += [
            _route(scenario.name, route)
            for route in client["routes"]
            if HOST in route["domains"] and route["configuration"] == "80"
        ]
    config = bootstrap(clusters, {}, used)
    front = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    front["route_config"]["virtual_hosts"][0]["routes"] = routes
    # Where there is no such cluster, Envoy answers 503, as behind istiod.
    front["route_config"]["validate_clusters"] = False
    kind = f"{_TYPE}.extensions.filters.http.fault.v3.HTTPFault"
    front["http_filters"].insert(0, {"name": "envoy.filters.http.fault", "typed_config": {"@type": kind}})
    return config, places


class Played(t.NamedTuple):
    """What came of a scenario: its requests, and afterwards how many each locality answered of `counted`."""

    scenario: Scenario
    sent: t.Sequence[Request]
    answered: t.Mapping[str, int]
    counted: int

    @property
    def failed(self) -> int:
        """The requests that failed."""
        return sum(request.status >= 500 for request in self.sent)


class Judged(t.NamedTuple):
    """A forecast and what was seen: `expected` failures and how far off they may be, `p` of the shares."""

    expected: float
    tolerance: float
    p: float
    worst: str

    def fits(self, failed: int) -> bool:
        """Whether so many failures are within the bounds."""
        return abs(failed - self.expected) <= self.tolerance


def judged(played: Played, prediction: Json) -> Judged:
    """Compare a forecast (Scenario.forecast) with what was seen."""
    scenario, probe = played.scenario, prediction["probe"]
    course = prediction["failover"].get(scenario.fault)
    now = prediction["now"]["none"] + prediction["now"]["dead"]
    phases = course["phases"] if course else [{"seconds": None, "failing": now}]
    expected = timed = chance = begin = 0.0
    for phase in phases:
        end = math.inf if phase["seconds"] is None else begin + phase["seconds"]
        number = sum(begin <= request.sent < end for request in played.sent)
        expected += number * phase["failing"]
        timed += 0.0 if phase["seconds"] is None else number * phase["failing"]
        chance += number * phase["failing"] * max(0.0, 1 - phase["failing"])
        begin = end
    low, high = sorted(probe["failed_between"])
    if course and abs(probe["failed_requests"] - expected) > 0.1 * expected + 2:
        # Waves, and whatever else the phases do not say.
        expected = timed = (low + high) / 2
    spread = max(0.0, (high - low) / 2)
    tolerance = max(0.15 * timed, spread) + 4 + 4 * math.sqrt(chance)
    p, worst = _fit(played, prediction)
    return Judged(expected, tolerance, p, worst)


def _fit(played: Played, prediction: Json) -> tuple[float, str]:
    """Return the p-value of the settled shares of those requests that are answered; 1 where they are not told apart.

    Where only readiness ends the outage it has not settled yet, and dead hosts still get requests: no scenario is as
    long as that.
    """
    settled = (
        prediction["settled"]
        if prediction["verdict"] != "untouched" or prediction["lost_at_first"]
        else prediction["now"]
    )
    total = sum(played.answered.values())
    shares = settled["localities"]
    if settled["dead"] or prediction["until"] == "readiness" or not total or not sum(shares.values()):
        return 1.0, ""
    whole = sum(shares.values())
    places = sorted({*shares, *played.answered})
    parts = [
        forecast_fit.Part(place, shares.get(place, 0.0) / whole, played.answered.get(place, 0)) for place in places
    ]
    fit = forecast_fit.fit(parts, total)
    return fit.p, f"{fit.worst.what}: forecast {fit.worst.share:.3f}, seen {fit.worst.requests} of {total}"


def play(version: str, some: t.Sequence[Scenario], tell: t.Callable[[str], None] = lambda _line: None) -> list[Played]:
    """Play scenarios on one Envoy. Raises Broken when the machine is too busy to send requests at a steady pace."""
    with Oracle("1.31", {}, workers=2) as oracle:
        client = {"name": "client", "namespace": "shop", "pod": "client", "type": "sidecar", "metadata": {}}
        asked = [{"objects": list(scenario.objects), "mesh": {}, "clients": [client]} for scenario in some]
        answers = oracle.ask([{**question, "settings": {"routes": True}} for question in asked])
    played: dict[int, Played] = {}
    for _try in range(TRIES):
        left = [index for index, scenario in enumerate(some) if scenario.number not in played]
        for start in range(0, len(left), AT_ONCE):
            own = left[start : start + AT_ONCE]
            for run in _play(version, [some[index] for index in own], [answers[index] for index in own]):
                if restlessness(run.sent) <= CALM:
                    played[run.scenario.number] = run
        tell(f"{len(played)} of {len(some)} scenarios played")
        if len(played) == len(some):
            return [played[scenario.number] for scenario in some]
    raise Broken(
        f"{len(some) - len(played)} of {len(some)} scenarios could not be played at a steady pace in {TRIES} tries: "
        "the machine is too busy. Run it again when less is going on."
    )


def _play(version: str, some: t.Sequence[Scenario], answers: t.Sequence[Json]) -> list[Played]:
    used = ports()
    configuration, places = _configuration(some, answers, used)
    with tempfile.TemporaryDirectory(prefix="envoy-oracle-") as folder, contextlib.ExitStack() as stack:
        envoy = stack.enter_context(Envoy(version, configuration, Path(folder)))
        sent = envoy.paced_for({f"{scenario.name}{scenario.path}": scenario.seconds for scenario in some}, RATE)
        runs = []
        for scenario in some:
            before = _answered(envoy, scenario, places)
            envoy.send_any(f"{scenario.name}{scenario.path}", COUNTED)
            after = _answered(envoy, scenario, places)
            runs.append(Played(scenario, sent[f"{scenario.name}{scenario.path}"], after - before, COUNTED))
        return runs


def _answered(envoy: Envoy, scenario: Scenario, places: t.Mapping[str, str]) -> Counter[str]:
    """Return how many requests the hosts of each locality have answered well."""
    answers: Counter[str] = Counter()
    for cluster, hosts in envoy.endpoints().items():
        if cluster.startswith(f"{scenario.name} "):
            for host in hosts:
                answers[places[host.address.rpartition(":")[0]]] += host.counters["rq_success"]
    return answers


def without(objects: t.Sequence[Json], kind: str) -> list[Json]:
    """Return the objects without one kind."""
    return [item for item in objects if item["kind"] != kind]


def without_ejection(objects: t.Sequence[Json]) -> list[Json]:
    """Return the objects as if nothing were ever ejected."""

    def changed(item: Json) -> Json:
        if item["kind"] != "DestinationRule":
            return item
        policy = {key: value for key, value in item["spec"]["trafficPolicy"].items() if key != "outlierDetection"}
        return {**item, "spec": {**item["spec"], "trafficPolicy": policy}}

    return [changed(item) for item in objects]


#: Forecasts that are wrong on purpose: each must be rejected by what some scenario showed.
WRONG: t.Mapping[str, t.Callable[[Scenario], Json]] = {
    "routes ignored": lambda scenario: scenario.forecast(without(scenario.objects, "VirtualService")),
    "no ejection": lambda scenario: scenario.forecast(without_ejection(scenario.objects)),
    "half of what is lost": lambda scenario: scenario.forecast(lost=scenario.lost[: max(1, len(scenario.lost) // 2)]),
    "another class of requests": lambda scenario: Scenario(
        scenario.number,
        scenario.objects,
        scenario.lost,
        scenario.fault,
        scenario.seconds,
        "/new" if scenario.path == "/" else "/",
        scenario.what,
    ).forecast(),
}


class Verdict(t.NamedTuple):
    """What came of a run: scenarios by position whose failures (`misses`) or shares (`rejected`) the forecast misses.

    `caught`: forecast that is wrong on purpose → how many scenarios refute it.
    """

    played: t.Sequence[Played]
    judgements: t.Sequence[Judged]
    misses: t.Sequence[int]
    rejected: t.Sequence[int]
    caught: t.Mapping[str, int]

    def line(self, index: int) -> str:
        """Say one scenario."""
        run, judgement = self.played[index], self.judgements[index]
        bad = index in self.misses or index in self.rejected
        seen = f"{run.failed} of {len(run.sent)} failed, forecast {judgement.expected:.1f} ± {judgement.tolerance:.1f}"
        shares = f"shares p={judgement.p:.2g} {judgement.worst}".strip()
        return f"{'NOT' if bad else 'ok '} {run.scenario.number}: {run.scenario.what}: {seen}; {shares}"


def measure(
    version: str, some: t.Sequence[Scenario], tell: t.Callable[[str], None] = lambda _line: None
) -> tuple[Verdict, Verdict | None]:
    """Play and judge scenarios; those that the forecast misses are played once more.

    A machine that is busy for a second makes requests late, and a round of ejections longer; a wrong forecast misses
    each time. Returns the verdict of all, and that of those that were played again (None without any).
    """
    verdict = judge(play(version, some, tell))
    bad = sorted({*verdict.misses, *verdict.rejected})
    if not bad:
        return verdict, None
    tell(f"{len(bad)} not as forecast, once more")
    return verdict, judge(play(version, [some[index] for index in bad], tell))


def judge(played: t.Sequence[Played]) -> Verdict:
    """Compare all scenarios with their forecasts, and with those that are wrong on purpose."""
    judgements = [judged(run, run.scenario.forecast()) for run in played]
    misses = [
        index for index, (run, own) in enumerate(zip(played, judgements, strict=True)) if not own.fits(run.failed)
    ]
    rejected = forecast_fit.rejected([judgement.p for judgement in judgements])
    caught = {}
    for name, wrong in WRONG.items():
        other = [judged(run, wrong(run.scenario)) for run in played]
        off = {index for index, (run, own) in enumerate(zip(played, other, strict=True)) if not own.fits(run.failed)}
        caught[name] = len(off | set(forecast_fit.rejected([judgement.p for judgement in other])))
    return Verdict(played, judgements, misses, rejected, caught)
