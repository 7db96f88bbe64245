# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""failover_policy against a real API server and istiod's real admission webhook."""

from __future__ import annotations

import json
import typing as t

import pytest

from .fault_proxy import FaultProxy

TUTORIAL: dict[str, t.Any] = {
    "max_requests_per_connection": 1,
    "load_balancer": "ROUND_ROBIN",
    "failover": [{"from": "cn-north-4", "to": "cn-south-1"}],
    "outlier_detection": {"consecutive_5xx_errors": 1, "interval": "1s", "base_ejection_time": "1m"},
}
PLACES = {
    "cn-north-4/cn-north-4b/beijing": 1,
    "cn-north-4/cn-north-4b/shenyang": 1,
    "cn-north-4/cn-north-4b/tianjin": 1,
    "cn-south-1/cn-south-1a/guangzhou": 1,
}

Result = dict[str, t.Any]


class Policy:
    """The module in one namespace, and kubectl's independent view of what it wrote."""

    def __init__(self, namespace: str, kubeconfig: t.Any, run_module: t.Any, kubectl: t.Any) -> None:
        self.namespace = namespace
        self.host = f"helloworld.{namespace}.svc.cluster.local"
        self.kubectl = kubectl
        self._kubeconfig = str(kubeconfig)
        self._run = run_module

    def __call__(self, *, check: bool = False, ok: bool = True, **options: t.Any) -> Result:
        given = {"kubeconfig": self._kubeconfig, "namespace": self.namespace, "service_host": self.host, **options}
        result: Result = self._run("failover_policy", check=check, params=given)
        assert bool(result.get("failed")) is not ok, result.get("msg", result)
        return result

    def live(self, kind: str = "destinationrule", name: str = "helloworld") -> t.Any:
        """Return the object as it is, or None."""
        got = self.kubectl(
            "get", kind, name, "-n", self.namespace, "-o=json", "--ignore-not-found", "--show-managed-fields"
        )
        return json.loads(got) if got else None

    def version(self, kind: str = "destinationrule") -> str:
        return str(self.live(kind)["metadata"]["resourceVersion"])

    def rule(self, name: str, **spec: t.Any) -> Result:
        """Return a DestinationRule of somebody else for the same host."""
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"host": self.host, **spec},
        }


@pytest.fixture
def policy(namespace: str, kubeconfig: t.Any, run_module: t.Any, kubectl: t.Any) -> Policy:
    return Policy(namespace, kubeconfig, run_module, kubectl)


@pytest.fixture
def endpoints(policy: Policy) -> None:
    """A Service whose pods say by label where they are. They need not run for that."""
    spec = {"ports": [{"port": 5000, "name": "http"}]}
    objects: list[Result] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "helloworld"}, "spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "helloworld", "labels": {"kubernetes.io/service-name": "helloworld"}},
            "addressType": "IPv4",
            "ports": [{"port": 5000, "name": "http"}],
            "endpoints": [],
        },
    ]
    for number, place in enumerate(PLACES):
        name = f"helloworld-{number}"
        labels = {"topology.istio.io/locality": place.replace("/", ".")}
        container = {"name": "helloworld", "image": "docker.io/istio/examples-helloworld-v1"}
        pod = {"containers": [container], "nodeSelector": {"no": "node"}}
        objects.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": pod})
        target = {"kind": "Pod", "name": name, "namespace": policy.namespace}
        objects[1]["endpoints"].append(
            {"addresses": [f"192.0.2.{number + 1}"], "conditions": {"ready": True}, "targetRef": target}
        )
    policy.kubectl("apply", "-n", policy.namespace, "-f", "-", given=objects)


def test_the_whole_life_of_a_rule(policy: Policy) -> None:
    """The twelve steps: create, change and delete, each in check mode and for real, each twice."""
    planned = policy(check=True, **TUTORIAL)
    assert planned["changed"]
    assert policy.live() is None
    created = policy(**TUTORIAL)
    assert created["changed"]
    assert created["destination_rule"] == planned["destination_rule"]
    version = policy.version()
    assert not policy(check=True, **TUTORIAL)["changed"]
    assert not policy(**TUTORIAL)["changed"]
    assert policy.version() == version

    changed = {**TUTORIAL, "outlier_detection": {"consecutive_5xx_errors": 3}}
    del changed["max_requests_per_connection"]
    assert policy(check=True, **changed)["changed"]
    assert policy.version() == version
    result = policy(**changed)
    assert result["changed"]
    live = policy.live()["spec"]["trafficPolicy"]
    assert live["outlierDetection"] == {"consecutive5xxErrors": 3}
    assert "connectionPool" not in live
    assert result["diff"]["before"] != result["diff"]["after"]
    for noise in ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"):
        assert noise not in str(result["diff"])
    assert not policy(check=True, **changed)["changed"]
    assert not policy(**changed)["changed"]

    assert policy(check=True, state="absent")["changed"]
    assert policy.live()
    assert policy(state="absent")["changed"]
    assert policy.live() is None
    assert not policy(check=True, state="absent")["changed"]
    assert not policy(state="absent")["changed"]


def test_the_tutorials_rule_as_istio_reads_it(policy: Policy) -> None:
    policy(**TUTORIAL)
    assert policy.live()["spec"] == {
        "host": policy.host,
        "trafficPolicy": {
            "connectionPool": {"http": {"maxRequestsPerConnection": 1}},
            "loadBalancer": {
                "simple": "ROUND_ROBIN",
                "localityLbSetting": {"enabled": True, "failover": [{"from": "cn-north-4", "to": "cn-south-1"}]},
            },
            "outlierDetection": {"consecutive5xxErrors": 1, "interval": "1s", "baseEjectionTime": "1m"},
        },
    }


def test_a_virtual_service_that_somebody_changed_is_not_deleted_unasked(policy: Policy) -> None:
    policy(**TUTORIAL, retry_remote_localities=True)
    added = ("-n", policy.namespace, "--type=merge", "-p", '{"spec":{"exportTo":["."]}}')
    policy.kubectl("patch", "virtualservice", "helloworld", *added)
    refused = policy(ok=False, **TUTORIAL)
    assert "also holds fields of kubectl-patch" in refused["msg"]
    assert policy.live("virtualservice")["spec"]["exportTo"] == ["."]
    assert policy(**TUTORIAL, force_conflicts=True)["changed"]


def test_keys_and_annotations_of_somebody_else_stay(policy: Policy) -> None:
    policy(**TUTORIAL)
    patch = '{"metadata":{"annotations":{"theirs":"1"}},"spec":{"trafficPolicy":{"tls":{"mode":"ISTIO_MUTUAL"}}}}'
    policy.kubectl("patch", "destinationrule", "helloworld", "-n", policy.namespace, "--type=merge", "-p", patch)
    assert not policy(**TUTORIAL)["changed"]
    policy(outlier_detection={"consecutive_5xx_errors": 1})
    live = policy.live()
    assert live["metadata"]["annotations"] == {"theirs": "1", "meshops.locality/failover-policy": "helloworld"}
    assert live["spec"]["trafficPolicy"] == {
        "tls": {"mode": "ISTIO_MUTUAL"},
        "outlierDetection": {"consecutive5xxErrors": 1},
    }
    refused = policy(ok=False, state="absent")
    assert "also holds fields of kubectl-patch" in refused["msg"]
    assert "force_conflicts" not in refused["msg"]
    assert policy.live()
    assert policy(state="absent", force_conflicts=True)["changed"]
    assert policy.live() is None


def test_a_field_of_somebody_else_is_a_conflict_with_a_name(policy: Policy) -> None:
    theirs = policy.rule("helloworld", trafficPolicy={"outlierDetection": {"interval": "9s"}})
    policy.kubectl("apply", "-f", "-", given=theirs)
    version = policy.version()
    for check in (True, False):
        refused = policy(ok=False, check=check, **TUTORIAL)
        assert refused["error"] == "Conflict"
        assert refused["conflicts"] == [
            {
                "manager": "kubectl-client-side-apply",
                "field": "spec.trafficPolicy.outlierDetection.interval",
                "live": "9s",
                "wanted": "1s",
            }
        ]
        assert "force_conflicts: true" in refused["msg"]
    assert policy.version() == version
    assert policy(force_conflicts=True, **TUTORIAL)["changed"]
    assert policy.live()["spec"]["trafficPolicy"]["outlierDetection"]["interval"] == "1s"
    assert not policy(**TUTORIAL)["changed"]


@pytest.mark.parametrize("state", ["absent", "previous"])
def test_what_was_there_before_comes_back(policy: Policy, state: str) -> None:
    """Values, keys and owners: after two changes by force, and whatever the state is called."""
    theirs = policy.rule(
        "helloworld", trafficPolicy={"outlierDetection": {"interval": "9s"}, "tls": {"mode": "DISABLE"}}
    )
    policy.kubectl("apply", "-f", "-", given=theirs)
    before = policy.live()
    policy(force_conflicts=True, **TUTORIAL)
    saved = json.loads(policy.live()["metadata"]["annotations"]["meshops.locality/previous"])
    assert (saved["spec"], saved["manager"]) == (before["spec"], "kubectl-client-side-apply")
    policy(force_conflicts=True, outlier_detection={"consecutive_5xx_errors": 7, "interval": "2s"})
    version = policy.version()
    planned = policy(check=True, state=state)
    assert planned["changed"]
    assert planned["destination_rule"]["spec"] == before["spec"]
    assert policy.version() == version
    assert policy(state=state)["changed"]
    after = policy.live()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert {entry["manager"] for entry in after["metadata"]["managedFields"]} == {"kubectl-client-side-apply"}
    again = policy(state=state, force_conflicts=True)
    assert not again["changed"], "what is not ours is left alone"
    assert "not this policy's" in again["warnings"][0]
    assert policy.live()["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize("state", ["absent", "previous"])
def test_a_virtual_service_of_another_owner_comes_back(policy: Policy, state: str) -> None:
    """Taken over by force, with its rule: both are written down, and given back with their owners."""
    policy(owner="team-a", **TUTORIAL, retry_remote_localities=True, retries={"attempts": 5})
    kinds = ("destinationrule", "virtualservice")
    before = {kind: policy.live(kind) for kind in kinds}
    theirs = {"owner": "team-b", "load_balancer": "RANDOM", "retries": {"attempts": 1}}
    refused = policy(ok=False, **theirs)
    assert {entry["manager"] for entry in refused["conflicts"]} == {"meshops.locality:team-a"}
    assert policy(**theirs, force_conflicts=True)["changed"]
    for kind in kinds:
        saved = json.loads(policy.live(kind)["metadata"]["annotations"]["meshops.locality/previous"])
        assert (saved["spec"], saved["manager"]) == (before[kind]["spec"], "meshops.locality:team-a")
    assert policy(owner="team-b", state=state)["changed"]
    for kind in kinds:
        after = policy.live(kind)
        assert after["spec"] == before[kind]["spec"]
        assert after["metadata"]["annotations"] == before[kind]["metadata"]["annotations"]
        assert {entry["manager"] for entry in after["metadata"]["managedFields"]} == {"meshops.locality:team-a"}
    refused = policy(ok=False, owner="team-b", state=state, force_conflicts=True)
    assert "was not made by this policy, but by meshops.locality:team-a" in refused["msg"]
    assert policy(owner="team-a", state="absent")["changed"]
    assert [policy.live(kind) for kind in kinds] == [None, None]


def test_a_field_of_somebody_else_in_our_own_objects_comes_back(policy: Policy) -> None:
    policy(**TUTORIAL, retry_remote_localities=True)
    where = ("-n", policy.namespace, "--field-manager=their-hands", "--type=merge", "-p")
    interval = '{"spec":{"trafficPolicy":{"outlierDetection":{"interval":"9s"}}}}'
    policy.kubectl("patch", "destinationrule", "helloworld", *where, interval)
    assert "interval is '9s' by their-hands" in policy(ok=False, **TUTORIAL, retry_remote_localities=True)["msg"]
    policy(**TUTORIAL, retry_remote_localities=True, force_conflicts=True)
    assert policy.live()["spec"]["trafficPolicy"]["outlierDetection"]["interval"] == "1s"
    assert not policy(**TUTORIAL, retry_remote_localities=True)["changed"]
    refused = policy(ok=False, state="absent")
    assert "also holds fields of their-hands" in refused["msg"]
    assert refused["changed"]
    live = policy.live()
    assert live["spec"]["trafficPolicy"]["outlierDetection"]["interval"] == "9s"
    assert "meshops.locality/previous" not in live["metadata"]["annotations"]
    assert not policy(ok=False, state="absent")["changed"]
    assert policy(state="absent", force_conflicts=True)["changed"]
    assert policy.live() is None


def test_an_annotation_that_was_copied_makes_nothing_ours(policy: Policy) -> None:
    policy(**TUTORIAL, retry_remote_localities=True)
    copies = [policy.live(kind) for kind in ("destinationrule", "virtualservice")]
    policy(state="absent")
    for copy in copies:
        copy["metadata"] = {key: copy["metadata"][key] for key in ("name", "namespace", "annotations")}
    policy.kubectl("create", "--field-manager=their-hands", "-f", "-", given=copies)
    for force in (False, True):
        refused = policy(ok=False, state="absent", force_conflicts=force)
        assert "VirtualService" in refused["msg"]
        assert "was not made by this policy, but by their-hands" in refused["msg"]
        assert not refused["changed"]
    policy.kubectl("delete", "virtualservice", "helloworld", "-n", policy.namespace)
    for force in (False, True):
        left = policy(state="absent", force_conflicts=force)
        assert not left["changed"]
        assert "not this policy's" in left["warnings"][0]
    assert policy.live()


def test_a_creation_that_is_not_finished_is_a_change(policy: Policy, fault_proxy: FaultProxy) -> None:
    """The POST is answered, the requests after it are not."""
    fault_proxy.add("PATCH", r"/destinationrules/helloworld\?(?!.*dryRun)", status=500)
    through = {"kubeconfig": str(fault_proxy.kubeconfig), "api_timeout": 2}
    failed = policy(ok=False, **TUTORIAL, retry_remote_localities=True, **through)
    assert failed["changed"]
    assert failed["not_written"] == ["DestinationRule helloworld", "VirtualService helloworld"]
    assert "was begun" in failed["msg"]
    assert policy.live()
    fault_proxy.faults.clear()
    assert policy(**TUTORIAL, retry_remote_localities=True, **through)["changed"]
    assert not policy(**TUTORIAL, retry_remote_localities=True)["changed"]


def test_what_somebody_changed_since_is_not_overwritten_by_what_was_before(policy: Policy) -> None:
    policy.kubectl("apply", "-f", "-", given=policy.rule("helloworld", trafficPolicy={"tls": {"mode": "DISABLE"}}))
    policy(**TUTORIAL)
    patch = '{"spec":{"trafficPolicy":{"tls":{"mode":"ISTIO_MUTUAL"}}}}'
    policy.kubectl("patch", "destinationrule", "helloworld", "-n", policy.namespace, "--type=merge", "-p", patch)
    refused = policy(ok=False, state="previous")
    assert "was changed by kubectl" in refused["msg"]
    assert "force_conflicts" not in refused["msg"]
    policy(outlier_detection={"consecutive_5xx_errors": 7})
    assert "was changed by" in policy(ok=False, state="absent")["msg"], "our own change in between hides nothing"


WRITE = ("PATCH", r"/destinationrules/helloworld\?(?!.*dryRun)")
CREATE = ("POST", r"/destinationrules\?(?!.*dryRun)")


@pytest.mark.parametrize("there", [True, False])
def test_what_somebody_writes_between_reading_and_writing_stays(
    policy: Policy, fault_proxy: FaultProxy, there: bool
) -> None:
    """Also with force: what was never judged is neither overwritten nor missing in what is written down."""
    early = policy.rule("helloworld", trafficPolicy={"outlierDetection": {"interval": "9s"}})
    late = policy.rule("helloworld", trafficPolicy={"outlierDetection": {"interval": "8s"}})
    if there:
        policy.kubectl("apply", "-f", "-", given=early)
    write = WRITE if there else CREATE
    fault_proxy.add(*write, times=1, before=lambda: policy.kubectl("apply", "-f", "-", given=late))
    through = {"kubeconfig": str(fault_proxy.kubeconfig), "force_conflicts": True}
    refused = policy(ok=False, **TUTORIAL, **through)
    assert refused["error"] == "Conflict", refused
    assert not refused["changed"]
    assert policy.live()["spec"] == late["spec"]
    assert policy(**TUTORIAL, **through)["changed"]
    policy(state="previous", **through)
    assert policy.live()["spec"] == late["spec"]


def test_an_equal_rule_that_somebody_else_creates_meanwhile_is_not_adopted(
    policy: Policy, fault_proxy: FaultProxy
) -> None:
    policy(**TUTORIAL)
    theirs = {key: policy.live()[key] for key in ("apiVersion", "kind", "spec")}
    policy(state="absent")
    theirs["metadata"] = {"name": "helloworld", "namespace": policy.namespace}
    create = ("create", "--field-manager=their-hands", "-f", "-")
    fault_proxy.add(*CREATE, times=1, before=lambda: policy.kubectl(*create, given=theirs))
    refused = policy(ok=False, **TUTORIAL, kubeconfig=str(fault_proxy.kubeconfig))
    assert "was created by their-hands since it was looked for" in refused["msg"]
    assert {entry["manager"] for entry in policy.live()["metadata"]["managedFields"]} == {"their-hands"}


def test_a_creation_that_was_cut_off_is_ours_to_change(policy: Policy) -> None:
    """Killed after the POST: the fields are owned by a creation, and no conflict with what applies to them."""
    policy(owner="x", **TUTORIAL)
    cut = {key: policy.live()[key] for key in ("apiVersion", "kind", "spec")}
    policy(owner="x", state="absent")
    cut["metadata"] = {"name": "helloworld", "namespace": policy.namespace}
    policy.kubectl("create", "--field-manager=meshops.locality:x", "-f", "-", given=cut)
    other = {"owner": "x", "failover": TUTORIAL["failover"], "load_balancer": "RANDOM"}
    planned = policy(check=True, **other)
    assert planned["changed"]
    assert policy(**other)["changed"]
    left = policy.live()["spec"]["trafficPolicy"]
    assert left["loadBalancer"]["simple"] == "RANDOM"
    assert "connectionPool" not in left
    assert not policy(**other)["changed"]


def test_a_label_of_somebody_else_in_between_is_no_conflict(policy: Policy, fault_proxy: FaultProxy) -> None:
    policy(**TUTORIAL)
    label = ("label", "destinationrule", "helloworld", "-n", policy.namespace, "theirs=1")
    fault_proxy.add(*WRITE, times=1, before=lambda: policy.kubectl(*label))
    more = {**TUTORIAL, "max_requests_per_connection": 2, "kubeconfig": str(fault_proxy.kubeconfig)}
    assert policy(**more)["changed"]
    assert policy.live()["metadata"]["labels"]["theirs"] == "1"


def test_two_owners_do_not_overwrite_each_other(policy: Policy) -> None:
    policy(owner="team-a", **TUTORIAL)
    assert not policy(owner="team-a", **TUTORIAL)["changed"]
    other = {**TUTORIAL, "load_balancer": "RANDOM"}
    refused = policy(ok=False, owner="team-b", **other)
    assert [entry["manager"] for entry in refused["conflicts"]] == ["meshops.locality:team-a"]
    assert policy.live()["spec"]["trafficPolicy"]["loadBalancer"]["simple"] == "ROUND_ROBIN"
    assert not policy(owner="team-b", state="absent")["changed"]
    assert policy.live()
    assert policy(owner="team-a", state="absent")["changed"]
    assert policy.live() is None


@pytest.mark.usefixtures("endpoints")
def test_the_completed_rule(policy: Policy) -> None:
    result = policy(complete=True, **TUTORIAL)
    assert result["endpoints"] == PLACES
    assert [(entry["field"].rpartition(".")[2], entry["value"]) for entry in result["completed"]] == [
        ("maxEjectionPercent", 75),
        ("retryRemoteLocalities", True),
    ]
    assert policy.live()["spec"]["trafficPolicy"]["outlierDetection"]["maxEjectionPercent"] == 75
    retries = {"attempts": 2, "retryRemoteLocalities": True}
    assert policy.live("virtualservice")["spec"]["http"][0]["retries"] == retries
    versions = policy.version(), policy.version("virtualservice")
    assert not policy(complete=True, **TUTORIAL)["changed"]
    assert (policy.version(), policy.version("virtualservice")) == versions

    moved = policy(complete=True, survive="subzone", virtual_service_name="moved", **TUTORIAL)
    assert policy.live()["spec"]["trafficPolicy"]["outlierDetection"]["maxEjectionPercent"] == 25
    assert moved["virtual_service"]["metadata"]["name"] == "moved"
    assert policy.live("virtualservice") is None

    plain = policy(**TUTORIAL)
    assert plain["changed"]
    assert plain["virtual_service"] == {}
    assert policy.live("virtualservice", "moved") is None
    assert "maxEjectionPercent" not in policy.live()["spec"]["trafficPolicy"]["outlierDetection"]
    assert any("at least 75 is needed" in warning for warning in plain["warnings"])


@pytest.mark.usefixtures("endpoints")
def test_absent_takes_the_virtual_service_along(policy: Policy) -> None:
    policy(complete=True, **TUTORIAL)
    assert policy(state="absent")["changed"]
    assert policy.live() is None
    assert policy.live("virtualservice") is None


@pytest.mark.usefixtures("endpoints")
def test_another_virtual_service_is_not_shadowed(policy: Policy) -> None:
    route: Result = {"route": [{"destination": {"host": "helloworld"}}]}
    theirs: Result = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "theirs", "namespace": policy.namespace},
        "spec": {"hosts": ["helloworld"], "http": [route]},
    }
    policy.kubectl("apply", "-f", "-", given=theirs)
    refused = policy(ok=False, complete=True, **TUTORIAL)
    assert f"VirtualService {policy.namespace}/theirs" in refused["msg"]
    assert "retries.retryRemoteLocalities: true" in refused["msg"]
    assert policy.live() is None

    route["retries"] = {"attempts": 2, "retryRemoteLocalities": True}
    policy.kubectl("apply", "-f", "-", given=theirs)
    result = policy(complete=True, **TUTORIAL)
    assert result["virtual_service"] == {}
    assert [entry["value"] for entry in result["completed"]] == [75]

    theirs["metadata"]["name"] = "helloworld"
    theirs["spec"]["hosts"] = ["another"]
    policy.kubectl("delete", "virtualservice", "theirs", "-n", policy.namespace)
    policy.kubectl("apply", "-f", "-", given=theirs)
    refused = policy(ok=False, complete=True, **TUTORIAL)
    assert "exists and is not this policy's" in refused["msg"]


def test_an_older_rule_for_the_host_is_told_before_anything_is_written(policy: Policy) -> None:
    policy.kubectl("apply", "-f", "-", given=policy.rule("older", trafficPolicy={"tls": {"mode": "DISABLE"}}))
    refused = policy(ok=False, **TUTORIAL)
    assert f"DestinationRule {policy.namespace}/older wins over {policy.namespace}/helloworld" in refused["msg"]
    assert "would have no effect" in refused["msg"]
    assert policy.live() is None


def test_a_short_host_is_completed_with_the_domain_of_the_cluster(policy: Policy) -> None:
    older = policy.rule("older", host="helloworld", trafficPolicy={"tls": {"mode": "DISABLE"}})
    policy.kubectl("apply", "-f", "-", given=older)
    host = f"helloworld.{policy.namespace}.svc.corp.example"
    refused = policy(ok=False, **{**TUTORIAL, "service_host": host})
    assert f"DestinationRule {policy.namespace}/older wins over {policy.namespace}/helloworld" in refused["msg"]


def test_a_younger_rule_for_the_host_is_reported(policy: Policy) -> None:
    policy(**TUTORIAL)
    # creationTimestamp has whole seconds; with the same one the name decides, and `younger` comes later.
    policy.kubectl("apply", "-f", "-", given=policy.rule("younger", trafficPolicy={"tls": {"mode": "DISABLE"}}))
    result = policy(**TUTORIAL)
    assert [(c["rule"], c["wins"]) for c in result["conflicts"]] == [
        (f"{policy.namespace}/younger", f"{policy.namespace}/helloworld")
    ]
    assert not result["changed"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("nothing-here", "There is no Service {namespace}/nothing-here now."),
        ("helloworld.{namespace}", "write helloworld.{namespace}.svc.cluster.local"),
    ],
)
def test_a_host_that_is_not_there_is_a_warning(policy: Policy, host: str, expected: str) -> None:
    result = policy(name="x", **{**TUTORIAL, "service_host": host.format(namespace=policy.namespace)})
    assert any(expected.format(namespace=policy.namespace) in warning for warning in result["warnings"])


def test_in_check_mode_the_namespace_may_be_missing(policy: Policy) -> None:
    result = policy(check=True, **{**TUTORIAL, "namespace": "not-made-yet"})
    assert result["changed"]
    assert result["destination_rule"]["metadata"] == {"name": "helloworld", "namespace": "not-made-yet"}


def test_raw_fields_are_judged_as_istiod_does_before_anything_is_sent(policy: Policy) -> None:
    refused = policy(ok=False, check=True, traffic_policy={"outlierDetection": {"interval": "0s"}})
    assert refused["error"] == "InvalidInput"
    assert "traffic_policy.outlierDetection.interval: " in refused["msg"]


def test_the_api_server_judges_raw_fields_that_nobody_here_knows(policy: Policy) -> None:
    refused = policy(ok=False, check=True, traffic_policy={"outlierDetecton": {}, "tls": {"mode": "DISABLE"}})
    assert refused["error"] == "Rejected"
    assert ".spec.trafficPolicy.outlierDetecton: field not declared in schema" in refused["msg"]
