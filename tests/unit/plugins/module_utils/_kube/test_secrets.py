# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets planted in every source, and looked for in every spelling."""

from __future__ import annotations

import base64
import json
import types
import typing as t
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from ansible.module_utils.common.parameters import remove_values
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._kube.secrets import (
    configuration_secrets,
    given_secrets,
    header_secrets,
    kubeconfig_secrets,
    masked,
    spellings,
    url_secrets,
)


def test_the_arguments_of_an_exec_plugin() -> None:
    plugin = {"exec": {"args": ["get", "--token=T0k", "--password", "P4ss", "--region", "eu", "--no-auth", "--x"]}}
    assert kubeconfig_secrets(plugin) == {"T0k", "P4ss"}


def test_headers() -> None:
    packed = base64.b64encode(b"ann:p4ss").decode()
    assert header_secrets({"Authorization": "Bearer abc\n", "User-Agent": "me"}) == {"Bearer abc", "abc"}
    assert header_secrets({"Proxy-Authorization": f"Basic {packed}"}) == {
        f"Basic {packed}",
        packed,
        "ann:p4ss",
        "p4ss",
    }


def test_urls() -> None:
    assert url_secrets("https://ann:p%40ss@api:6443/x") == {"p%40ss", "p@ss"}
    assert url_secrets("https://api:6443/a@b") == url_secrets(None) == set()
    # As curl and urllib3 take them, too.
    assert url_secrets("ann:pw@proxy:3128") == {"pw"}
    assert url_secrets("api:6443/a@b") == url_secrets("api:6443") == set()


def test_every_source_is_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        content = {"users": [{"name": "u", "user": {"token": f"token-{name}"}}]}
        (tmp_path / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "broken").write_text("{", encoding="utf-8")
    params = {
        "kubeconfig": str(tmp_path / "one"),
        "api_key": "option-key\n",
        "host": "https://u:host-pass@h",
        "proxy": "http://u:proxy-pass@p",
        "proxy_headers": {"basic_auth": "u:basic-pass"},
    }
    environment = {
        "K8S_AUTH_API_KEY": "env-key",
        "K8S_AUTH_PASSWORD": "env-pass",
        "K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH": "u:env-basic",
        "HTTPS_PROXY": "http://u:env-proxy@p",
        "KUBECONFIG": f"{tmp_path / 'two'}:{tmp_path / 'broken'}:{tmp_path / 'absent'}:{tmp_path}",
    }
    secrets = given_secrets(params, environment)
    assert secrets >= {"token-one", "token-two", "option-key\n", "host-pass", "proxy-pass", "basic-pass"}
    assert secrets >= {"env-key", "env-pass", "env-basic", "env-proxy"}


def test_what_requests_are_made_with() -> None:
    configuration = types.SimpleNamespace(
        api_key={"authorization": "Bearer from-a-plugin"},
        proxy_headers={"proxy-authorization": "Basic " + base64.b64encode(b"u:pp").decode()},
        proxy="http://u:up@p",
        host="https://h",
        username="ann",
        password="pw",
    )
    assert configuration_secrets(configuration) >= {"from-a-plugin", "pp", "up", "pw"}


@given(st.text(min_size=6, max_size=30).filter(lambda text: len(text.strip()) >= 6))
def test_no_spelling_of_a_secret_gets_through(secret: str) -> None:
    """However a library repeats a value: with white space, as Python or JSON write it, quoted for a URL."""
    hidden = spellings([secret])
    ways: list[t.Callable[[str], str]] = [str, repr, json.dumps, quote, lambda text: repr(text.encode()), str.strip]
    for way in ways:
        shown = remove_values({"msg": f"x {way(secret)} y"}, hidden)["msg"]
        assert secret.strip() not in shown
        assert way(secret).strip("b'\"") not in shown


@given(
    st.lists(st.text(min_size=1, max_size=20).filter(str.strip), max_size=4),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=30),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part, max_size=3),
    ),
)
def test_a_masked_document_has_the_same_shape(secrets: list[str], document: t.Any) -> None:
    """Whatever is secret: fields, numbers and the lengths of lists are the document's, and no long one is left."""
    hidden = frozenset(spellings(secrets))
    shown = masked(document, hidden)

    def same(given: t.Any, got: t.Any) -> None:
        assert type(given) is type(got)
        if isinstance(given, dict):
            assert list(given) == list(got)
            for name, inner in given.items():
                same(inner, got[name])
        elif isinstance(given, list):
            assert len(given) == len(got)
            for before, after in zip(given, got, strict=True):
                same(before, after)
        elif isinstance(given, str):
            assert not [text for text in hidden if len(text) >= 8 and text in got and "*" not in text]
        else:
            assert given == got

    same(document, json.loads(json.dumps(shown)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("asked http://ann:pw@web/ three times", "asked http://ann:********@web/ three times"),
        ("not with pw.", "not with ********."),
        # No part of a word, and no name or state.
        ("upwards of pw-1, pw_x", "upwards of pw-1, pw_x"),
        ("pw", "pw"),
        # A long one wherever it is, and none of it is left where a shorter one is a part of it.
        ("xlong-secret-0y", "x********y"),
        ("long-secret-0", "********"),
        ("long-secret-01", "********"),
    ],
)
def test_what_is_masked(text: str, shown: str) -> None:
    secrets = frozenset({"pw", "long-secret-0", "long-secret-01"})
    assert masked({"pw": [text, 7, None]}, secrets) == {"pw": [shown, 7, None]}
    assert masked(text, frozenset()) == text


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_nothing_is_hidden_that_is_nothing(text: str) -> None:
    assert spellings([text]) == set()
