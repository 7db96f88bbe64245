# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is a name in Kubernetes, and what is not.

An empty name is the dangerous one: without a namespace a request means all of them, and a variable that a form left
blank is empty. So no option that names something takes an empty text; "all namespaces" is an option of its own, of what
only reads or restores, and of istiod's notice of relabelled nodes, which annotates EndpointSlices.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

# RFC 1123, as Kubernetes checks it: staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LABEL_LENGTH, _SUBDOMAIN_LENGTH = 63, 253

# k8s.io/apimachinery/pkg/labels/selector.go: what stands between two commas that are not inside of brackets.
_REQUIREMENT = re.compile(
    r"""
    \s* (?:
        ! \s* (?P<absent>[^\s=!<>(),]+)
      | (?P<key>[^\s=!<>(),]+)
        (?: \s* (?P<sign>==|=|!=|<|>) \s* (?P<value>[^\s=!<>(),]*)
          | \s+ (?P<word>in|notin) \s* \( (?P<values>[^()]*) \)
        )?
    ) \s*
    """,
    re.VERBOSE,
)

_DEFAULT = "Left out, it is the default one; blank, it is most often one that a form or an inventory lacks."
_BLANK = "A variable that a form left blank is empty, too."


def namespace_name(value: object, option: str = "namespace") -> str:
    """Return the name of a namespace. Raises InvalidInput, naming the option, for anything else."""
    return _dns(value, option, "the name of a namespace", _LABEL, _LABEL_LENGTH)


def chosen_namespaces(params: t.Mapping[str, t.Any], prefix: str = "") -> t.Sequence[str] | None:
    """Return the namespaces of the option `namespaces` of a module, or None for all of them.

    `prefix` is that of both options. Raises InvalidInput unless exactly one of `namespaces` and `all_namespaces` is
    given; an empty list is none.
    """
    namespaces, everywhere = params[f"{prefix}namespaces"], params[f"{prefix}all_namespaces"]
    if bool(namespaces) == everywhere:
        raise InvalidInput(
            f"Exactly one of {prefix}namespaces and {prefix}all_namespaces is needed.",
            do=f"Name the namespaces, or say {prefix}all_namespaces: true.",
        )
    return None if everywhere else t.cast(t.Sequence[str], namespaces)


def object_name(value: object, option: str = "name") -> str:
    """Return the name of an object (of a pod, a node, a rule). Raises InvalidInput, naming the option, otherwise."""
    return _dns(value, option, "the name of an object", _SUBDOMAIN, _SUBDOMAIN_LENGTH)


def context_name(value: object, option: str = "context") -> str:
    """Return the name of a kubeconfig's context: any text that is not blank."""
    return _text(value, option, "the name of a context", _DEFAULT)


def container_name(value: object, option: str = "container") -> str:
    """Return the name of a container. Raises InvalidInput, naming the option, for anything else."""
    return _dns(value, option, "the name of a container", _LABEL, _LABEL_LENGTH)


def host_name(value: object, option: str = "service_host") -> str:
    """Return the host of a Service or of the API server: any text that is not blank."""
    return _text(value, option, "a host")


def kubeconfig_given(value: object, option: str = "kubeconfig") -> object:
    """Return a kubeconfig's path, or the kubeconfig itself; a blank path would be the default kubeconfig."""
    return _text(value, option, "the path of a kubeconfig", _DEFAULT) if isinstance(value, str) else value


def user_name(value: object, option: str = "impersonate_user") -> str:
    """Return the name of a user or group to act as; as nobody would be as oneself."""
    return _text(value, option, "the name of a user or a group")


def label_selector(value: object, option: str = "label_selector") -> str:
    """Return a label selector. Raises InvalidInput for an empty one (it matches everything) and for what is none."""
    text = _text(value, option, "a label selector", "An empty one would match everything.")
    for part in _requirements(text):
        match = _REQUIREMENT.fullmatch(part)
        key = (match["absent"] or match["key"]) if match else ""
        if match is None or not _is_key(key):
            raise _no_selector(option, text, f"{part.strip()!r} is no requirement")
        values = [match["value"] or ""] if match["sign"] else (match["values"] or "").split(",")
        if match["sign"] in ("<", ">"):
            continue  # integers; the API server looks at them
        for given in (value.strip() for value in values):
            if given and not (len(given) <= _LABEL_LENGTH and _KEY_NAME.fullmatch(given)):
                raise _no_selector(option, text, f"{given!r} is no value of a label")
        if match["word"] and not (match["values"] or "").strip():
            raise _no_selector(option, text, f"{part.strip()!r} names no value")
    return text


def _requirements(text: str) -> list[str]:
    parts, depth, begin = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and not depth:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]]


def _is_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and not (_SUBDOMAIN.fullmatch(prefix) and len(prefix) <= _SUBDOMAIN_LENGTH):
        return False
    return len(name) <= _LABEL_LENGTH and bool(_KEY_NAME.fullmatch(name))


def _no_selector(option: str, text: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{option} is {text[:100]!r}, which is not a label selector: {why}.",
        do="Write it as kubectl takes it: app=a,version in (v1,v2).",
    )


def _text(value: object, option: str, what: str, why: str = "") -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{option} is {value!r}, which is not text.", do=f"Give {what}.")
    if not value.strip():
        raise InvalidInput(f"{option} is empty.{' ' + why if why else ''}", do=f"Give {what}. {_BLANK}")
    return value


def _dns(value: object, option: str, what: str, pattern: re.Pattern[str], most: int) -> str:
    text = _text(value, option, what)
    if not pattern.fullmatch(text):
        raise InvalidInput(
            f"{option} is {text[:100]!r}, which is not {what}.",
            do="It has lower case letters, digits and '-'"
            f"{' and dots' if pattern is _SUBDOMAIN else ''}, and begins and ends with a letter or a digit.",
        )
    if len(text) > most:
        raise InvalidInput(f"{option} has {len(text)} characters, and {what} at most {most}.", do="Shorten it.")
    return text


#: The options of all modules that name something, and what they name. Lists are checked entry by entry.
CHECKS: dict[str, t.Callable[[object, str], object]] = {
    "namespace": namespace_name,
    "lock_namespace": namespace_name,
    "allowed_namespaces": namespace_name,
    "namespaces": namespace_name,
    "notify_namespaces": namespace_name,
    "default_namespace": namespace_name,
    "control_plane_namespace": namespace_name,
    "pod": object_name,
    "pods": object_name,
    "name": object_name,
    "virtual_service_name": object_name,
    "service": object_name,
    "part_of": object_name,
    "deployments": object_name,
    "drills": object_name,
    "container": container_name,
    "service_host": host_name,
    "label_selector": label_selector,
    "context": context_name,
    "kubeconfig": kubeconfig_given,
    "host": host_name,
    "impersonate_user": user_name,
    "impersonate_groups": user_name,
}
#: Variables of the environment that choose a cluster or a user. Blank, kubernetes.core takes another without a word.
VARIABLES = {
    "K8S_AUTH_KUBECONFIG": kubeconfig_given,
    "K8S_AUTH_CONTEXT": context_name,
    "K8S_AUTH_HOST": host_name,
    "K8S_AUTH_IMPERSONATE_USER": user_name,
}


def check_environment(environment: t.Mapping[str, str]) -> None:
    """Raise InvalidInput for a variable that chooses a cluster or a user and is set, but blank."""
    for name, check in VARIABLES.items():
        if name in environment:
            check(environment[name], name)


def check_names(spec: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any], where: str = "") -> None:
    """Check every option of an argument spec that names something, also of its suboptions, wherever it is given.

    Raises InvalidInput with the option as a user would write it: `verify_from.namespace`, `pods[1]`.
    """
    for option, form in spec.items():
        value = params.get(option)
        if value is None:
            continue
        path = f"{where}{option}"
        if form.get("options"):
            for at, entry in enumerate(value) if isinstance(value, list) else [(None, value)]:
                check_names(form["options"], entry, f"{path}." if at is None else f"{path}[{at}].")
        elif option in CHECKS and isinstance(value, list):
            for at, entry in enumerate(value):
                CHECKS[option](entry, f"{path}[{at}]")
        elif option in CHECKS:
            CHECKS[option](value, path)
