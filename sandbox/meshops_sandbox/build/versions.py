# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""versions.toml, read and typed."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

import pydantic

from meshops_sandbox.build.artifacts import BuildError

SANDBOX = Path(__file__).resolve().parents[2]
VERSIONS = SANDBOX / "versions.toml"
GO_SOURCES = SANDBOX / "go"
ORACLE_SOURCES = SANDBOX.parent / "tests" / "differential" / "istiod"


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Go(_Strict):
    minimum: str
    package: str
    version: str


class Kubernetes(_Strict):
    version: str
    etcd: str


class CoreDNS(_Strict):
    version: str


class Kwok(_Strict):
    version: str


class KubeRouter(_Strict):
    version: str


class Base(_Strict):
    suite: str
    packages: list[str]


class Istio(_Strict):
    """One Istio line. `module` is the version of istio.io/istio in go/istio-<line>/go.mod."""

    version: str
    module: str
    envoy: str


class Envoy(_Strict):
    package: str
    sha256: str


class Versions(_Strict):
    default_line: str
    go: Go
    kubernetes: Kubernetes
    coredns: CoreDNS
    kwok: Kwok
    kube_router: KubeRouter
    base: Base
    istio: dict[str, Istio]
    envoy: dict[str, Envoy]


def read(path: Path = VERSIONS) -> Versions:
    """The versions in `path`. Raises BuildError naming the key that is missing, unknown or of the wrong type."""
    try:
        return Versions.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BuildError(f"{path} is missing: run the sandbox from a checkout of the project.") from None
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"{path} is not valid TOML: {error}.") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BuildError(f"{path}: {where}: {first['msg']}.") from error


@functools.cache
def current() -> Versions:
    """versions.toml of this checkout."""
    return read()


def lines() -> list[str]:
    """The Istio lines that can be asked for, the default first."""
    versions = current()
    return sorted(versions.istio, key=lambda line: (line != versions.default_line, line))


def istio_line(line: str) -> Istio:
    """The Istio of a line such as "1.31". Raises BuildError when there is no such line."""
    istio = current().istio.get(line)
    if istio is None:
        raise BuildError(f"There is no Istio line {line}: choose one of {', '.join(lines())}.")
    return istio
