# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many random drills, killed at random moments or met by a fault of the API server: is anything ever left unrestored?

Faults come from a proxy in front of the API server. One line per drill, and at the end how many were left. Exit code 1
when that is not 0. `--seed` repeats the choices; the moments of kills are a matter of the machine.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.drill.drill_process import DrillProcess  # noqa: E402
from tests.integration.fault_proxy import PASSING, Fault, FaultProxy  # noqa: E402
from tests.integration.mesh import CLIENT, PLACES, SERVER, deployment, pod_template, rule  # noqa: E402

Json = dict[str, t.Any]
FAULTS = ("drain_inbound", "drain", "process_kill", "evict", "network_deny", "evacuate", "node_loss")
#: Where the client is: its node is not lost with the servers'.
CLIENTS = "tianjin"
#: These do not end by themselves: somebody has to restore a drill that was killed.
BY_HAND = ("evict", "network_deny", "evacuate")
#: What of a pod the undoing itself changes.
CHANGED = {
    "evict": ("uid", "address", "applications"),
    "process_kill": ("applications",),
    "node_loss": ("address", "applications"),
}
#: What happens to a drill, at a random moment.
ENDS = ("nothing", "SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGKILL", "SIGKILL and nobody restores")
#: Of so many drills one request meets a fault of the API server, before the number of requests that a drill sends.
FAULTY, REQUESTS = 0.4, 120
#: The phase whose beginning is waited for before the random moment.
MOMENTS = (
    "preflight",
    "gate",
    "lock",
    "journal",
    "inject",
    "inject",
    "observe",
    "observe",
    "restore",
    "proof",
    "verdict",
)
#: The dead-man's switch, and how long it may take until kubelet has the sidecar back.
TIMER, BACK = 6, 150.0
SCRIPT = "for each in /proc/[0-9]*; do tr '\\0' ' ' <$each/cmdline 2>/dev/null; echo; done"


class Soak:
    """A mesh of its own, and drills of it."""

    def __init__(self, kubeconfig: str, seed: int, faults: t.Sequence[str] = FAULTS) -> None:
        self.kubeconfig, self.dice, self.faults = kubeconfig, random.Random(seed), faults
        self.namespace = f"soak-{uuid.uuid4().hex[:8]}"
        self.folder = Path(tempfile.mkdtemp(prefix="soak-"))
        self.proxy = FaultProxy(Path(kubeconfig), self.folder)
        self.injected = 0
        self.left: list[str] = []
        self.outcomes: collections.Counter[str] = collections.Counter()

    def kubectl(self, *arguments: str, given: t.Any = None) -> str:
        """Run kubectl; return what it prints."""
        binary = shutil.which("kubectl")
        command = [binary] if binary else [str(ROOT / ".venv" / "bin" / "meshops-sandbox"), "kubectl", "--"]
        done = subprocess.run(
            [*command, "--kubeconfig", self.kubeconfig, *arguments],
            input=json.dumps(given) if given is not None else None,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Json:
        """Return objects of the namespace."""
        return t.cast(Json, json.loads(self.kubectl("-n", self.namespace, "get", *arguments, "-o", "json")))

    def build(self) -> None:
        """Make the mesh: two servers in each of three places, and a client."""
        labels = {"istio-injection": "enabled", "meshops.locality/drills": "allowed"}
        self.kubectl(
            "apply",
            "-f",
            "-",
            given={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}},
        )
        items: list[Json] = [rule(maxEjectionPercent=100, baseEjectionTime="5s")]
        service = {"ports": [{"port": 5000, "name": "http"}], "selector": {"app": "helloworld"}}
        items.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "helloworld"}, "spec": service})
        for place in PLACES:
            own = {"app": "helloworld", "version": place}
            env = [{"name": "SERVICE_VERSION", "value": place}]
            items.append(deployment(f"helloworld-{place}", own, pod_template(own, {**SERVER, "env": env}, place)))
        items.append(deployment("sleep", {"app": "sleep"}, pod_template({"app": "sleep"}, CLIENT, CLIENTS)))
        self.kubectl(
            "-n", self.namespace, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": items}
        )
        self.ready()

    def ready(self) -> None:
        """Wait until every Deployment is available."""
        self.kubectl("-n", self.namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=240s")

    def refresh(self, place: str) -> None:
        """Replace a pod that was restarted often: kubelet waits longer before each restart."""
        pod = self.pod(place)
        if restarts(pod) >= 2:
            self.kubectl("-n", self.namespace, "delete", "pod", pod["metadata"]["name"], "--wait=true")
            time.sleep(1)
            self.ready()

    def pod(self, place: str) -> Json:
        """Return the pod of a place."""
        items = self.get("pods", "-l", f"app=helloworld,version={place}")["items"]
        return t.cast(Json, next(pod for pod in items if not pod["metadata"].get("deletionTimestamp")))

    def drill(self, number: int) -> str:
        """Run one drill; return the line about it."""
        fault, end = self.dice.choice(self.faults), self.dice.choice(ENDS)
        place = self.dice.choice([name for name in PLACES if fault != "node_loss" or name != CLIENTS])
        if fault in BY_HAND and end.endswith("restores"):
            end = "SIGKILL"
        phase, moment = self.dice.choice(MOMENTS), self.dice.uniform(0, 3)
        duration = self.dice.randint(2, 5)
        # Both are chosen always, so that a seed means the same drills whatever FAULTY is.
        kind, request = self.dice.choice(list(PASSING)), self.dice.randrange(REQUESTS)
        trouble = Fault("*", "", times=1, after=request, **PASSING[kind]) if self.dice.random() < FAULTY else None
        self.refresh(place)
        before = self.state(place, fault)
        options = {
            "namespace": self.namespace,
            "service": "helloworld",
            "scope": [f"subzone {place}"],
            "clients": [{"label_selector": "app=sleep"}],
            "path": "/hello",
            "fault": fault,
            "duration": duration,
            "lead": 1,
            "failback_timeout": 0,
            "dead_mans_switch": TIMER,
            "accept_manual_restore": fault in BY_HAND,
            "error_budget": 1.0,
            "expect_prediction": False,
            "accept": ["lint", "prediction", "capacity"],
            "lock_namespace": self.namespace,
            "kubeconfig": str(self.proxy.kubeconfig),
            # By its own clock the agent starts a lost node after this, too.
            **({"restore_timeout": 45} if fault == "node_loss" else {}),
        }
        self.proxy.faults[:] = [trouble] if trouble else []
        process = DrillProcess(options, self.folder / f"drill-{number}")
        reached: float | None = None
        while process.process.poll() is None:
            if reached is None and phase in [event["phase"] for event in process.events]:
                reached = time.monotonic()
            if reached is not None and time.monotonic() >= reached + moment:
                break
            time.sleep(0.05)
        events = process.events
        phase = events[-1]["phase"] if events else "start"
        hit = process.process.poll() is None and end != "nothing"
        if hit and end.startswith("SIGKILL"):
            process.kill()
            outcome = "killed"
        else:
            if hit:
                process.send(signal.Signals[end])
            process.process.wait(timeout=400)
            # Before it listens to signals nothing has been touched, and it ends like any program.
            early = process.process.returncode < 0
            outcome = "ended" if early else process.result().get("outcome", "?")
        met = trouble is not None and not trouble.times
        self.injected += met
        self.proxy.faults.clear()
        alone = hit and end.endswith("restores")
        if hit and end == "SIGKILL":
            self.restore(number)
        wrong = self.wait_for(before, place, fault)
        # A drill that nobody restored is as before by its timer; only its journal is open.
        self.restore(number, "again")
        wrong = wrong or self.wait_for(before, place, fault) or self.open_journals()
        if wrong:
            self.left.append(f"drill {number}: {wrong}")
        shutil.rmtree(self.folder / f"drill-{number}", ignore_errors=True)
        self.outcomes[outcome] += 1
        what = f"{end} in {phase}" if hit else "ran to its end"
        what += f", {kind} at request {request}" if met else ""
        by = ", ended by its timer" if alone else ""
        return f"{number:4} {fault:14} {place:10} {what:66} {outcome:12} {wrong or 'as before'}{by}"

    def restore(self, number: int, again: str = "") -> None:
        """Run failover_restore."""
        options = {
            "namespaces": [self.namespace],
            "lock_namespace": self.namespace,
            "kubeconfig": self.kubeconfig,
        }
        process = DrillProcess(options, self.folder / f"restore-{number}-{again}", "failover_restore")
        result = process.result(400)
        if result.get("failed"):
            self.left.append(f"drill {number}: {result['msg']}")
        shutil.rmtree(self.folder / f"restore-{number}-{again}", ignore_errors=True)

    def state(self, place: str, fault: str) -> Json:
        """Return what of a place, of the Service and of the nodes must be as before a fault."""
        pod = self.pod(place)
        status = pod["status"]
        ready = [condition["status"] for condition in status["conditions"] if condition["type"] == "Ready"]
        apps = {
            container["name"]: container["restartCount"]
            for container in status["containerStatuses"]
            if container["name"] != "istio-proxy"
        }
        service = self.get("service", "helloworld")
        nodes = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        state = {
            "labels": sorted(pod["metadata"]["labels"].items()),
            "selector": service["spec"]["selector"],
            "policies": [policy["metadata"]["name"] for policy in self.get("networkpolicies")["items"]],
            "cordoned": sorted(node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")),
            "uid": pod["metadata"]["uid"],
            "address": status.get("podIP"),
            "ready": ready,
            "applications": apps,
            "listeners stopped": self.admin(pod, "stats?filter=listener_stopped").strip().rpartition(": ")[2],
            "timers": self.timers(pod),
        }
        return {name: value for name, value in state.items() if name not in CHANGED.get(fault, ())}

    def admin(self, pod: Json, path: str) -> str:
        """Ask the pod's Envoy."""
        enter = ("-n", self.namespace, "exec", pod["metadata"]["name"], "-c", "istio-proxy", "--")
        return self.kubectl(*enter, "pilot-agent", "request", "GET", path)

    def timers(self, pod: Json) -> int:
        """Return how many dead-man's switches run in the pod."""
        enter = ("-n", self.namespace, "exec", pod["metadata"]["name"], "-c", "istio-proxy", "--")
        lines = self.kubectl(*enter, "sh", "-c", SCRIPT).splitlines()
        return sum(" meshops-drill " in line and line.endswith("quitquitquit ") for line in lines)

    def wait_for(self, before: Json, place: str, fault: str) -> str:
        """Wait until a place is as before; return what is not, '' when all is."""
        until = time.monotonic() + BACK
        while True:
            try:
                now = self.state(place, fault)
            except (RuntimeError, StopIteration, KeyError) as error:
                now = {"error": str(error)[:200]}
            if now == before:
                return ""
            if time.monotonic() > until:
                return "; ".join(
                    f"{name}: {before.get(name)} before, {now.get(name)} now"
                    for name in {*before, *now}
                    if before.get(name) != now.get(name)
                )
            time.sleep(1)

    def open_journals(self) -> str:
        """Return the names of open journals, '' for none."""
        items = self.get("configmaps", "-l", "meshops.locality/drill=open")["items"]
        return ", ".join(journal["metadata"]["name"] for journal in items)

    def close(self) -> None:
        """Delete the namespace and the folder."""
        self.proxy.close()
        self.kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")
        shutil.rmtree(self.folder, ignore_errors=True)


def restarts(pod: Json) -> int:
    """Return how often istio-proxy was restarted."""
    status = pod["status"]
    states = [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
    return int(next(container["restartCount"] for container in states if container["name"] == "istio-proxy"))


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kubeconfig", required=True, help="kubeconfig of the cluster, a sandbox for example")
    parser.add_argument("--count", type=int, default=200, help="how many drills (200)")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=FAULTS, help="only these faults (all)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the choices of a run")
    given = parser.parse_args()
    soak = Soak(given.kubeconfig, given.seed, given.faults)
    print(f"{given.count} drills, seed {given.seed}, namespace {soak.namespace}", flush=True)
    done = 0
    try:
        soak.build()
        for number in range(1, given.count + 1):
            print(soak.drill(number), flush=True)
            done = number
    finally:
        soak.close()
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(soak.outcomes.items()))
    print(f"{done} drills ({outcomes}), {soak.injected} faults of the API server; {len(soak.left)} left unrestored")
    print("\n".join(soak.left))
    return 1 if soak.left or done < given.count else 0


if __name__ == "__main__":
    sys.exit(main())
