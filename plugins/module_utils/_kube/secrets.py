# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not be shown, wherever it comes from: options, environment, kubeconfig files, exec plugins, headers, URLs.

Ansible hides the options that are marked `no_log`, and nothing else. Here is the rest, in every spelling in which a
message may hold it: a library's error repeats a value as Python writes it, a URL has it quoted.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import typing as t
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

# Ansible loads every module_utils file without third-party libraries; run_module says that they are missing.
with contextlib.suppress(ImportError):
    import yaml

#: What is secret in a kubeconfig.
_SECRETS = ("token", "password", "client-key-data", "id-token", "refresh-token", "access-token", "client-secret")
#: The environment variables of kubernetes.core that hold a secret, and those that hold a URL with one.
_ENVIRONMENT = (
    "K8S_AUTH_API_KEY",
    "K8S_AUTH_PASSWORD",
    "K8S_AUTH_PROXY_HEADERS_BASIC_AUTH",
    "K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH",
)
_ENVIRONMENT_URLS = ("K8S_AUTH_PROXY", "K8S_AUTH_HOST", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_ENVIRONMENT_FILES = ("K8S_AUTH_KUBECONFIG", "KUBECONFIG")
_SECRET_NAME = re.compile("token|secret|pass|key|credential|auth", re.IGNORECASE)
#: Names of variables whose values are no secrets, and are names of places and namespaces, too.
_PLAIN_NAME = re.compile("region|zone|profile|project", re.IGNORECASE)
_LONG = 8
#: A kubeconfig is no larger; a FIFO or a disk given by mistake is not read to its end.
_MOST_BYTES = 4 * 1024 * 1024


def kubeconfig_secrets(kubeconfig: t.Any) -> set[str]:
    """Return what must not be shown of a kubeconfig that is given as a dictionary; its path is no secret.

    Not `no_log` on the whole option: it would also hide every "v1" and every context's name in all results.
    """
    if isinstance(kubeconfig, dict):
        secrets = {str(kubeconfig[key]) for key in _SECRETS if kubeconfig.get(key)}
        secrets |= url_secrets(kubeconfig.get("proxy-url")) | url_secrets(kubeconfig.get("server"))
        secrets |= _exec_secrets(kubeconfig.get("exec"))
        return secrets.union(*(kubeconfig_secrets(value) for value in kubeconfig.values()))
    if isinstance(kubeconfig, list):
        return set().union(*(kubeconfig_secrets(value) for value in kubeconfig))
    return set()


def url_secrets(url: t.Any) -> set[str]:
    """Return the password in a URL, which need not name a protocol, as it is written and as it is meant."""
    text = str(url or "")
    credentials, at, _host = (text.partition("://")[2] or text).partition("/")[0].rpartition("@")
    password = credentials.partition(":")[2] if at else ""
    return {password, unquote(password)} - {""}


def header_secrets(headers: t.Mapping[str, t.Any]) -> set[str]:
    """Return what must not be shown of HTTP headers: the values of all whose names promise a secret, and their parts.

    `Bearer abc` has the part `abc`; `Basic …` has the user and password that are packed in it.
    """
    secrets: set[str] = set()
    for name, value in headers.items():
        if not _SECRET_NAME.search(name) or not value:
            continue
        text = str(value).strip()
        scheme, _space, rest = text.partition(" ")
        secrets |= {text, rest.strip()} - {""}
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                both = base64.b64decode(rest.strip(), validate=True).decode("utf-8", "replace")
                secrets |= {both, both.partition(":")[2]} - {""}
    return secrets


def _exec_secrets(plugin: t.Any) -> set[str]:
    """Return the values of an exec plugin's environment, except plain and short ones whose names promise no secret,
    and the arguments that are secrets by their names: `--token=x`, `--password x`.

    Hiding a "1", a "true" or a region would make every result unreadable.
    """
    if not isinstance(plugin, dict):
        return set()
    entries, words = plugin.get("env"), plugin.get("args")
    secrets = {
        str(entry["value"])
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        and entry.get("value")
        and (
            _SECRET_NAME.search(str(entry.get("name", "")))
            or (len(str(entry["value"])) >= _LONG and not _PLAIN_NAME.search(str(entry.get("name", ""))))
        )
    }
    before = ""
    for word in map(str, words if isinstance(words, list) else []):
        name, equals, value = word.partition("=")
        if equals and _SECRET_NAME.search(name):
            secrets.add(value)
        elif before.startswith("-") and _SECRET_NAME.search(before) and not word.startswith("-"):
            secrets.add(word)
        before = word
    return secrets - {""}


def given_secrets(params: t.Mapping[str, t.Any], environment: t.Mapping[str, str]) -> set[str]:
    """Return the secrets of a module's options, of the environment and of the kubeconfig files that both name."""
    kubeconfig = params.get("kubeconfig")
    secrets = kubeconfig_secrets(kubeconfig) | url_secrets(params.get("proxy")) | url_secrets(params.get("host"))
    secrets |= url_secrets(params.get("url"))
    secrets |= {str(params[option]) for option in ("api_key", "password") if params.get(option)}
    given = params.get("proxy_headers") or {}
    users = [given.get(option) for option in ("basic_auth", "proxy_basic_auth")]
    secrets |= {environment[name] for name in _ENVIRONMENT if environment.get(name)}
    users += [environment.get(name) for name in _ENVIRONMENT if name.endswith("BASIC_AUTH")]
    for both in filter(None, users):
        secrets |= {str(both), str(both).partition(":")[2], base64.b64encode(str(both).encode()).decode()} - {""}
    secrets = secrets.union(*(url_secrets(environment.get(name)) for name in _ENVIRONMENT_URLS))
    paths = [kubeconfig] if isinstance(kubeconfig, str) else []
    paths += [path for name in _ENVIRONMENT_FILES for path in environment.get(name, "").split(os.pathsep)]
    paths.append("~/.kube/config")
    return secrets.union(*(_file_secrets(path) for path in dict.fromkeys(filter(None, paths))))


def _file_secrets(path: str) -> set[str]:
    """Return the secrets of a kubeconfig file; none when it cannot be read, which connecting will report."""
    try:
        file = Path(path).expanduser()
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return set()
        return kubeconfig_secrets(yaml.safe_load(file.read_text(encoding="utf-8", errors="replace")))
    except (OSError, RuntimeError, ValueError, RecursionError, NameError, yaml.YAMLError):
        return set()


def configuration_secrets(configuration: t.Any) -> set[str]:
    """Return the secrets that requests are made with now, also those that an exec plugin gave."""
    secrets = header_secrets({f"auth {name}": value for name, value in (configuration.api_key or {}).items()})
    secrets |= header_secrets(configuration.proxy_headers or {})
    secrets |= url_secrets(configuration.proxy) | url_secrets(configuration.host)
    if configuration.password:
        both = f"{configuration.username}:{configuration.password}"
        secrets |= {str(configuration.password), base64.b64encode(both.encode()).decode()}
    return secrets


def spellings(secrets: t.Iterable[str]) -> set[str]:
    """Return every secret in all spellings that a message may hold: without white space around it, as Python and JSON
    write it, and quoted for a URL.
    """
    spelled: set[str] = set()
    for secret in filter(str.strip, secrets):
        for text in (secret, secret.strip()):
            spelled |= {text, repr(text)[1:-1], repr(text.encode())[2:-1], json.dumps(text)[1:-1]}
            spelled |= {quote(text, safe=""), quote(text), quote_plus(text), unquote(text)}
            # Of what stands in several lines (a key), each line.
            spelled |= {line.strip() for line in text.splitlines() if len(line.strip()) >= _LONG}
    return {text for text in spelled if text.strip()}


def masked(value: t.Any, secrets: frozenset[str]) -> t.Any:
    """Return plain values with stars for the secrets in their texts; names of fields and numbers stay as they are.

    Of the module's result Ansible takes care, of what is written elsewhere nobody does. A short secret is masked where
    it is a word of its own, also of a URL, and not where it is all there is: then it is a name or a state.
    """
    if isinstance(value, str):
        return _pattern(secrets).sub("********", value)
    if isinstance(value, t.Mapping):
        return {name: masked(inner, secrets) for name, inner in value.items()}
    return [masked(inner, secrets) for inner in value] if isinstance(value, (list, tuple)) else value


@lru_cache(maxsize=1)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    """Return what finds secrets; the longest is first, as others may be parts of it."""
    ways = []
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.escape(secret)
        ways.append(text if len(secret) >= _LONG else rf"(?<![\w-])(?!\A{text}\Z){text}(?![\w-])")
    return re.compile("|".join(ways) or "(?!)")
