# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network of a sandbox: a bridge on the host, a namespace for each node, routes between them. All by netlink.

Pods of all nodes and of other sandboxes reach each other by plain routes (no address translation): one flat network.
"""

from __future__ import annotations

import contextlib
import ipaddress
import subprocess
import typing as t

import tenacity
from pyroute2 import IPRoute, NetNS, netns
from pyroute2.netlink.exceptions import NetlinkError

from meshops_sandbox.layout import BRIDGE_PREFIX, NETNS_ROOT, Layout, NodeLayout

# The kernel says EBUSY while a namespace of the same name is still being taken down.
_again = tenacity.retry(
    retry=tenacity.retry_if_exception_type((NetlinkError, OSError)),
    stop=tenacity.stop_after_attempt(4),
    wait=tenacity.wait_fixed(0.2),
    reraise=True,
)


def create(layout: Layout) -> None:
    """Bridge, namespaces, links, addresses and routes of `layout`. What is left from an interrupted run must have
    been removed."""
    with IPRoute() as host:
        host.link("add", ifname=layout.bridge, kind="bridge")
        bridge = host.link_lookup(ifname=layout.bridge)[0]
        host.link("set", index=bridge, ifalias=layout.alias)  # the kernel ignores it when it is given with "add"
        host.addr("add", index=bridge, address=str(layout.gateway), prefixlen=layout.node_network.prefixlen)
        host.link("set", index=bridge, state="up")
        for node in layout.nodes:
            _create_node(host, bridge, layout, node)
            host.route("add", dst=str(node.pods), gateway=str(node.address))
        _set_firewall(layout)


@_again
def _create_node(host: IPRoute, bridge: int, layout: Layout, node: NodeLayout) -> None:
    if node.namespace not in netns.listnetns():
        netns.create(node.namespace)
    if not host.link_lookup(ifname=node.link):
        host.link(
            "add",
            ifname=node.link,
            kind="veth",
            peer={"ifname": "eth0", "net_ns_fd": node.namespace},
        )
    link = host.link_lookup(ifname=node.link)[0]
    host.link("set", index=link, master=bridge, state="up", ifalias=layout.alias)
    with NetNS(node.namespace) as inside:
        inside.link("set", index=inside.link_lookup(ifname="lo")[0], state="up")
        link = inside.link_lookup(ifname="eth0")[0]
        inside.addr("replace", index=link, address=str(node.address), prefixlen=layout.node_network.prefixlen)
        inside.link("set", index=link, state="up")
        inside.route("replace", dst="default", gateway=str(layout.gateway))
        for other in layout.nodes:
            if other is not node:
                inside.route("replace", dst=str(other.pods), gateway=str(other.address))
    in_namespace(node.namespace, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def remove(name: str, alias: str, bridge: str | None) -> list[str]:
    """Remove every namespace and link of the sandbox `name`, however much of it exists. Returns what was removed.

    `bridge` is the name the registry has reserved for it: an interrupted run may not have got to its alias."""
    removed: list[str] = []
    for namespace in namespaces(name):
        _remove_namespace(namespace)
        removed.append(f"network namespace {namespace}")
    with IPRoute() as host:
        own = _links(host, alias)
        if bridge and not any(ifname == bridge for _, ifname in own):
            own += [(index, bridge) for index in host.link_lookup(ifname=bridge)]
        for index, ifname in own:
            with contextlib.suppress(NetlinkError):  # a veth goes together with its peer's namespace
                host.link("del", index=index)
                removed.append(f"link {ifname}")
    removed += _close_firewall(alias)
    return removed


@_again
def _remove_namespace(namespace: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        netns.remove(namespace)


def namespaces(name: str) -> list[str]:
    """Names of the network namespaces of the sandbox `name` that exist. Neither sandbox nor node names have dots: no
    mix-up."""
    prefix = f"ms-{name}."
    try:
        return sorted(path.name for path in NETNS_ROOT.iterdir() if path.name.startswith(prefix))
    except FileNotFoundError:
        return []


def links(alias: str) -> list[str]:
    """Names of the links of one sandbox on the host."""
    with IPRoute() as host:
        return [ifname for _, ifname in _links(host, alias)]


def link_names() -> set[str]:
    """Names of all links on the host."""
    with IPRoute() as host:
        return {link.get_attr("IFLA_IFNAME") for link in host.get_links()}


def overlapping(network: ipaddress.IPv4Network, *, ignore: t.Collection[str] = ()) -> str | None:
    """What on this host already uses a part of `network` ("10.160.0.0/24 on eth0"), None when it is free.

    Links named in `ignore` do not count; neither does the default route."""
    with IPRoute() as host:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in host.get_links()}
        for address in host.get_addr(family=2):
            name = names.get(address["index"], "?")
            used = ipaddress.ip_interface(f"{address.get_attr('IFA_ADDRESS')}/{address['prefixlen']}").network
            if name not in ignore and network.overlaps(t.cast(ipaddress.IPv4Network, used)):
                return f"{used} on {name}"
        for route in host.get_routes(family=2):
            destination = route.get_attr("RTA_DST")
            if not destination or route.get_attr("RTA_TABLE") == 255:
                continue
            name = names.get(route.get_attr("RTA_OIF"), "?")
            used = ipaddress.ip_network(f"{destination}/{route['dst_len']}", strict=False)
            if name not in ignore and network.overlaps(t.cast(ipaddress.IPv4Network, used)):
                return f"the route {used} over {name}"
    return None


def in_namespace(namespace: str, *command: str) -> str:
    """Run `command` with the network of `namespace` (mounts stay the host's: `ip netns exec` would hide the
    cgroups)."""
    done = subprocess.run(
        ["nsenter", f"--net={NETNS_ROOT / namespace}", "--", *command], check=True, capture_output=True, text=True
    )
    return done.stdout


def _links(host: IPRoute, alias: str) -> list[tuple[int, str]]:
    return [
        (link["index"], link.get_attr("IFLA_IFNAME"))
        for link in host.get_links()
        if link.get_attr("IFLA_IFALIAS") == alias
    ]


def _set_firewall(layout: Layout) -> None:
    """Nodes and pods are for this machine and for other sandboxes: what comes from elsewhere and would be forwarded to
    them is dropped, as the host forwards now.

    Docker and others set the host's FORWARD policy to DROP, which also stops bridged packets (br_netfilter): let ours
    pass then."""
    policy = subprocess.run(["iptables", "-w", "-S", "FORWARD"], check=False, capture_output=True, text=True)
    rules = [["-o", layout.bridge, "!", "-i", f"{BRIDGE_PREFIX}+", "-j", "DROP"]]
    if "-P FORWARD DROP" in policy.stdout:
        rules += [[direction, layout.bridge, "-j", "ACCEPT"] for direction in ("-i", "-o")]
    for place, rule in enumerate(rules, start=1):
        command = ["iptables", "-w", "-I", "FORWARD", str(place), *rule, "-m", "comment", "--comment", layout.alias]
        subprocess.run(command, check=True, capture_output=True)


def _close_firewall(alias: str) -> list[str]:
    removed: list[str] = []
    listed = subprocess.run(["iptables", "-w", "-S", "FORWARD"], check=False, capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        words = [word.strip('"') for word in line.split()]
        if words[:1] == ["-A"] and alias in words:
            subprocess.run(["iptables", "-w", "-D", *words[1:]], check=False, capture_output=True)
            removed.append(f"firewall rule for {alias}")
    return removed
