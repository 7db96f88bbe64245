# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tarball holds: what users need and nothing else."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

#: Bytes. Plugins alone are about 550,000; REST is everything else.
LIMIT, REST = 715_000, 142_000
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)[^)]*\)|<img[^>]* src=\"(?!http)([^\"]+)\"")
REPOSITORY = re.compile(r"https://github\.com/meshops/locality/(?:blob|tree)/main/([^)#?\s]+)")
#: The first folder or file of everything that ships.
EXPECTED = {
    *("CHANGELOG.md", "COPYING", "FILES.json", "MANIFEST.json", "README.md", "docs", "extensions"),
    *("meta", "playbooks", "plugins", "requirements.yml", "roles", "tests"),
    ".ansible-lint",
}


def names(tarball: Path) -> list[str]:
    with tarfile.open(tarball) as archive:
        return [member.name for member in archive.getmembers() if member.isfile()]


def test_it_is_small(tarball: Path) -> None:
    assert tarball.stat().st_size < LIMIT


def test_little_of_it_is_something_else_than_plugins(unpacked: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "rest.tar.gz", "w:gz") as archive:
        for path in unpacked.iterdir():
            if path.name != "plugins":
                archive.add(path, path.name)
    assert (tmp_path / "rest.tar.gz").stat().st_size < REST


def test_nothing_else_is_in_it(tarball: Path) -> None:
    shipped = names(tarball)
    assert {name.split("/")[0] for name in shipped} <= EXPECTED
    assert [name for name in shipped if name.startswith("tests/")] == ["tests/config.yml"]
    assert not [name for name in shipped if name.endswith((".pyc", ".go", ".log", ".tar.gz"))]


@pytest.mark.parametrize(
    "needed",
    [
        *("COPYING", "README.md", "CHANGELOG.md", "meta/runtime.yml", "meta/execution-environment.yml"),
        *("docs/examples/tutorial/mesh.yml", "docs/examples/shop/cart.yml", "docs/docsite/links.yml"),
    ],
)
def test_what_users_need_is_in_it(tarball: Path, needed: str) -> None:
    assert needed in names(tarball)


def test_every_link_of_a_document_leads_somewhere(unpacked: Path) -> None:
    documents = sorted(unpacked.glob("**/*.md"))
    assert len(documents) > 5
    links = [
        (document, link[1] or link[2])
        for document in documents
        for link in LINK.finditer(document.read_text(encoding="utf-8"))
    ]
    assert links
    dead = [
        (str(document.relative_to(unpacked)), link) for document, link in links if not (document.parent / link).exists()
    ]
    assert dead == []


def test_every_link_into_the_repository_leads_to_a_file_of_it() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("extensions/**/*.md")]
    links = {repository for each in documents for repository in REPOSITORY.findall(each.read_text(encoding="utf-8"))}
    assert {"docs/images/report.png", "docs/images/outage.svg"} < links
    assert [link for link in sorted(links) if not (ROOT / link).exists()] == []


def test_the_changes_of_this_version_are_told(unpacked: Path) -> None:
    version = yaml.safe_load((unpacked / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]["version"]
    changes = (unpacked / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'<a href="#v{version.replace(".", "-")}">' in changes
    modules = changes.partition("New Modules")[2]
    assert re.search(r"topology.{1,2}info", modules)
    assert re.search(r"failover.{1,2}policy", modules)


def test_every_role_has_a_readme(unpacked: Path) -> None:
    roles = sorted(path.parent for path in (unpacked / "roles").glob("*/meta"))
    assert roles
    assert [role.name for role in roles if not (role / "README.md").is_file()] == []
