# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod refuses of single values: hosts, names, labels, ports, durations, exportTo.

Source: istio 1.31 pkg/config/validation/validation.go, pkg/config/validation/agent/validation.go,
pkg/config/labels/instance.go and pkg/config/visibility/visibility.go; the messages are istiod's.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import coded

_LABEL = "[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_WILDCARD_LABEL = re.compile(rf"\*|(?:\*|\*-)?{_LABEL}")
_QUALIFIED = "(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_TAG = re.compile(rf"({_LABEL}(?:\.{_LABEL})*/)?({_QUALIFIED})")
_TAG_VALUE = re.compile(f"(?:{_QUALIFIED})?")
_MILLISECOND = 1_000_000
_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"
}  # fmt: skip
_NUMERIC = re.compile(r"[+-]?[0-9]+")


def quoted(text: str) -> str:
    """Return a text as Go's %q writes it (strconv.Quote)."""
    return '"' + "".join(_ESCAPES.get(sign) or (sign if sign.isprintable() else _escaped(sign)) for sign in text) + '"'


def _escaped(sign: str) -> str:
    number = ord(sign)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def length(text: str) -> int:
    """Return the length of a text as Go counts it: in bytes of UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def dns_label(text: str) -> bool:
    """Whether a text is one part of a DNS name."""
    return length(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None


def _precondition(domain: str) -> str:
    if length(domain) > 255:
        return coded("domain-too-long", quoted(domain))
    return "" if domain else coded("domain-missing")


def _labels(domain: str) -> str:
    parts = domain.split(".")
    if _NUMERIC.fullmatch(parts[-1]) and abs(int(parts[-1])) < 2**63:
        return coded("domain-invalid", quoted(domain), f"top level domain {quoted(parts[-1])} cannot be all-numeric")
    for index, label in enumerate(parts):
        if index == len(parts) - 1 and not label:
            return ""
        if not dns_label(label):
            return coded("domain-invalid", quoted(domain), f"label {quoted(label)} invalid")
    return ""


def fqdn(domain: str) -> str:
    """Return what is wrong with a full DNS name, '' for nothing. Source: ValidateFQDN."""
    return _precondition(domain) or _labels(domain)


def wildcard_domain(domain: str) -> str:
    """Return what is wrong with a host whose first part may be or begin with `*`. Source: ValidateWildcardDomain."""
    wrong = _precondition(domain)
    if wrong:
        return wrong
    first, dot, rest = domain.partition(".")
    if length(first) > 63 or not _WILDCARD_LABEL.fullmatch(first):
        return coded("domain-invalid", quoted(domain), f"label {quoted(first)} invalid")
    return _labels(rest) if dot else ""


def partial_wildcard(host: str) -> str:
    """Return what is wrong with `*` in a host. Source: ValidatePartialWildCard."""
    if "*" in host and host != "*" and not host.startswith("*."):
        return f"partial wildcard {quoted(host)} not allowed"
    return ""


def is_ip(text: str) -> bool:
    """Whether a text is an IP address, as Go's netip.ParseAddr sees it."""
    address, percent, zone = text.partition("%")
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not percent or (bool(zone) and parsed.version == 6)


def port(number: int) -> str:
    """Return what is wrong with a port."""
    return "" if 1 <= number <= 65535 else f"port number {number} must be in the range 1..65535"


def duration(nanoseconds: int) -> str:
    """Return what is wrong with a duration. Source: ValidateDuration."""
    if nanoseconds < _MILLISECOND:
        return coded("duration-too-short")
    return coded("duration-too-precise") if nanoseconds % _MILLISECOND else ""


def percent(value: int) -> str:
    """Return what is wrong with a percentage."""
    return "" if 0 <= value <= 100 else coded("percentage-range", value)


def labels(values: t.Mapping[str, str]) -> t.Iterator[tuple[str, str]]:
    """Yield (key, what is wrong) of labels. Source: labels.Instance.Validate."""
    for key, value in values.items():
        match = _TAG.fullmatch(key)
        if match is None:
            yield key, f"invalid tag key: {quoted(key)}"
        elif length((match[1] or "")[:-1]) > 253:
            yield key, f"invalid tag key: {quoted(key)} (DNS prefix is too long)"
        elif length(match[2]) > 63:
            yield key, f"invalid tag key: {quoted(key)} (name is too long)"
        if not _TAG_VALUE.fullmatch(value):
            yield key, f"invalid tag value: {quoted(value)}"


def subset_name(name: str) -> str:
    """Return what is wrong with the name of a subset."""
    if not name:
        return coded("subset-name-missing")
    return "" if dns_label(name) else f"subset name is invalid: {name}"


def export_to(
    namespace: str, entries: t.Sequence[str], *, service_entry: bool = False, selector: bool = False
) -> t.Iterator[tuple[int | None, str]]:
    """Yield (index of the entry or None for the list, what is wrong). Source: validateExportTo.

    `selector`: it is that of a DestinationRule with a workloadSelector.
    """
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        key = namespace if entry == "." else entry
        if key in seen:
            yield index, coded("export-own-twice", namespace) if key != entry else coded("export-twice", entry)
        elif key == "~" and not service_entry:
            yield index, "exportTo ~ (none) is not allowed for Istio configuration objects"
        elif key not in (".", "*", "~") and not dns_label(key):
            yield index, "only .,*, or a valid DNS 1123 label is allowed as exportTo entry"
        else:
            seen.add(key)
    if selector and seen:
        if namespace not in seen:
            yield None, "destination rule with workload selector cannot have exportTo beyond current namespace"
        elif len(seen) > 1:
            yield None, "destination rule with workload selector cannot have multiple entries in exportTo"
    if "*" in seen and len(entries) > 1:
        yield None, coded("export-public-and-other")
    if "~" in seen and len(entries) > 1:
        yield None, "cannot export service entry to no one (~) and someone"
