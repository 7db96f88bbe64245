# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens planted in every source of credentials, and looked for in everything that ansible-playbook -vvv prints."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import typing as t
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from tests.conftest import BIN, ROOT, ansible_environment

Json = dict[str, t.Any]

#: Nobody listens there; the tokens are found in errors of libraries, in invocations and in results alike.
HOST = "https://127.0.0.1:1"
READS: list[tuple[str, Json]] = [
    ("endpoints_info", {"namespace": "s", "label_selector": "a=b", "service_host": "h"}),
    ("topology_info", {"all_namespaces": True}),
    ("workloads_info", {"namespace": "s"}),
    ("workloads", {"definitions": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "s"}}]}),
    ("listener_drain", {"namespace": "s", "pods": ["p"]}),
    ("node_topology", {"nodes": {"n": {"zone": "z"}}}),
    ("failover_policy", {"namespace": "s", "service_host": "h"}),
    ("traffic_probe", {"namespace": "s", "pod": "p", "url": "http://h/"}),
    ("failover_restore", {"all_namespaces": True, "wait_timeout": 1}),
    ("failover_drill_info", {"all_namespaces": True}),
    ("cluster_object", {"kind": "Node"}),
]


class Planted:
    """Makes tokens, and remembers them: each is long, random enough, and awkward in its own way."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def __call__(self, name: str) -> str:
        token = f"planted-{name}-%2F/+{len(self.tokens):04d}=="
        self.tokens.append(token)
        return token


def kubeconfig(user: Json, **cluster: t.Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": HOST, **cluster}}],
        "users": [{"name": "c", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }


def sources(plant: Planted, folder: Path) -> list[tuple[Json, Json]]:
    """Return (options, environment) for every source of a secret."""
    script = folder / "plugin"
    script.write_text(
        "#!/bin/sh\n"
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        f' "status": {{"token": {json.dumps(plant("plugins-answer"))}}}}}\'\n'
    )
    script.chmod(0o700)
    plugin = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(script),
            "args": [f"--token={plant('argument')}", "--password", plant("word")],
            "env": [{"name": "AWS_SECRET", "value": plant("plugins-env")}],
            "interactiveMode": "Never",
        }
    }
    complaining = folder / "complaining"
    complaining.write_text(f"#!/bin/sh\necho 'refused: token {plant('plugins-complaint')}' >&2\nexit 1\n")
    complaining.chmod(0o700)
    # It answers in a version that was not asked for.
    wrong = folder / "wrong"
    wrong.write_text(script.read_text().replace("io/v1", "io/v7").replace("plugins-answer", "plugins-wrong-answer"))
    wrong.chmod(0o700)
    plant.tokens.append(plant.tokens[0].replace("plugins-answer", "plugins-wrong-answer"))
    bare = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    oidc = {"idp-issuer-url": HOST, "client-id": "c", "client-secret": plant("client-secret")}
    oidc |= {"id-token": f"a.{base64.b64encode(b'{}').decode()}.{plant('id-token')}", "refresh-token": plant("refresh")}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(kubeconfig({"token": plant("file") + "\n"})), encoding="utf-8")
    broken = folder / "broken"
    broken.write_text(f"users:\n- user:\n    token: {plant('broken')}\n  x: [\n", encoding="utf-8")
    secret = quote(plant("url"), safe="")
    return [
        ({"host": HOST, "api_key": plant("option") + "\n"}, {}),
        ({"host": HOST, "api_key": plant("two-lines") + "\nx"}, {}),
        ({"host": HOST, "username": "ann", "password": plant("password")}, {}),
        ({"host": f"https://ann:{secret}@127.0.0.1:1"}, {}),
        ({"host": HOST, "proxy": f"http://ann:{quote(plant('proxy'), safe='')}@127.0.0.1:1"}, {}),
        ({"host": HOST, "proxy_headers": {"proxy_basic_auth": f"ann:{plant('header')}"}}, {}),
        ({"kubeconfig": kubeconfig({"token": plant("dictionary")})}, {}),
        ({"kubeconfig": kubeconfig(plugin)}, {}),
        ({"kubeconfig": kubeconfig({"exec": {**bare, "command": str(complaining)}})}, {}),
        ({"kubeconfig": kubeconfig({"exec": {**bare, "command": str(wrong)}})}, {}),
        ({"kubeconfig": kubeconfig({"auth-provider": {"name": "oidc", "config": oidc}})}, {}),
        ({"kubeconfig": kubeconfig({"username": "ann", "password": plant("kubeconfigs-password")})}, {}),
        ({"kubeconfig": kubeconfig({"client-key-data": plant("key"), "client-certificate-data": "x"})}, {}),
        (
            {
                "kubeconfig": kubeconfig(
                    {}, **{"proxy-url": f"http://ann:{quote(plant('proxy-url'), safe='')}@127.0.0.1:1"}
                )
            },
            {},
        ),
        ({"kubeconfig": str(file)}, {}),
        ({"kubeconfig": str(broken)}, {}),
        ({"host": HOST}, {"K8S_AUTH_API_KEY": plant("environment") + "\n"}),
        ({"host": HOST}, {"K8S_AUTH_USERNAME": "ann", "K8S_AUTH_PASSWORD": plant("environments-password")}),
        ({}, {"K8S_AUTH_KUBECONFIG": str(file)}),
    ]


@pytest.fixture
def plant() -> Planted:
    return Planted()


def by_name(value: t.Any, variables: list[str]) -> t.Any:
    """Return options with variables instead of secrets, as from a vault: Ansible shows the lines of a failed task."""
    if isinstance(value, dict):
        return {key: by_name(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [by_name(inner, variables) for inner in value]
    if isinstance(value, str) and "planted-" in value:
        variables.append(value)
        return f"{{{{ secrets[{len(variables) - 1}] }}}}"
    return value


def run(tasks: list[Json], home: Path, environment: Json) -> str:
    book, vault = home / "play.yml", home / "vault.json"
    variables: list[str] = []
    play = by_name(tasks, variables)
    vault.write_text(json.dumps({"secrets": variables}), encoding="utf-8")
    book.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": play}]), encoding="utf-8")
    command = [str(BIN / "ansible-playbook"), "-vvv", "-i", "localhost,", "-c", "local", "--diff"]
    command += ["-e", f"@{vault}", str(book)]
    settings = {
        **ansible_environment(home, environment),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


def spelt(token: str) -> list[str]:
    """Return how a token may look in an output, as far as it is still the token."""
    packed = base64.b64encode(f"ann:{token}".encode()).decode()
    return [token, quote(token, safe=""), quote(token), json.dumps(token)[1:-1], packed]


def test_no_planted_token_is_printed(plant: Planted, tmp_path: Path) -> None:
    """Each source meets a module; the sources of the environment are in one run each, as a shell would set them."""
    cases = sources(plant, tmp_path)
    tasks: list[Json] = []
    runs: list[tuple[list[Json], Json]] = []
    for number, (options, environment) in enumerate(cases):
        module, wanted = READS[number % len(READS)]
        given = {**wanted, **options, "api_timeout": 0}
        task = {f"meshops.locality.{module}": given, "ignore_errors": True}
        if environment:
            runs.append(([task], environment))
        else:
            tasks.append(task)
    printed = "".join(run(play, tmp_path, environment) for play, environment in [(tasks, {}), *runs])
    assert printed.count("fatal:") + printed.count('"failed": true') >= len(cases), printed[-3000:]
    leaked = [token for token in plant.tokens for text in spelt(token) if text in printed]
    assert leaked == [], "".join(line for line in printed.splitlines(True) if "planted-" in line)[:3000]


def test_a_token_would_be_found(plant: Planted, tmp_path: Path) -> None:
    """The search itself."""
    token = plant("debug")
    printed = run([{"ansible.builtin.debug": {"msg": token}}], tmp_path, {})
    assert any(text in printed for text in spelt(token))
