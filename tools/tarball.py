# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the tarball of the collection in .work/dist, as it would be published.

It is built from a copy of the files that git knows (or would add), so that nothing else of a checkout can get in. The
fragments in changelogs/fragments become the release notes of this version there: the repository keeps fragments until a
version is released, the tarball never has any.
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

from testrun.steps import BIN, ROOT, WORK
from testrun.venvs import with_path

DIST = WORK / "dist"
AREA = WORK / "tarball"
COPY = AREA / "ansible_collections" / "meshops" / "locality"
_ROOMS = "plugins/module_utils/"
#: The rooms of the module_utils, next to each other those that speak of the same.
_ALIKE = (
    *("_charts", "_report", "_forecast", "_lint", "_istio", "_envoy", "_model"),
    *("_simulation", "_source", "_topology", "_policy", "_kube", "_drill", "_module"),
)


def files_of_repository() -> list[Path]:
    """Return the files that are tracked, or new and not ignored, relative to the checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def shipped_files() -> list[Path]:
    """Return the files of the repository that galaxy.yml's build_ignore lets into the tarball."""
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"]

    def ships(name: Path) -> bool:
        parents = [str(name), *(str(parent) for parent in name.parents)]
        return not any(fnmatch.fnmatch(part, pattern) for part in parents for pattern in ignored)

    return [name for name in files_of_repository() if ships(name)]


def galaxy() -> dict[str, str]:
    """Return the content of galaxy.yml."""
    return dict(yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8")))


def tarball() -> Path:
    """Return where the tarball of this version is, or would be."""
    about = galaxy()
    return DIST / f"{about['namespace']}-{about['name']}-{about['version']}.tar.gz"


def of_last_commit(wanted: str) -> str:
    """Return the date of the last commit in a format of git log, for all dates: the same commit, the same tarball."""
    git = ["git", "log", "-1", f"--format={wanted}"]
    return subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def build() -> Path:
    """Build the tarball; returns its path. Raises CalledProcessError when a tool refuses."""
    import zopfli.gzip

    shutil.rmtree(AREA, ignore_errors=True)
    for file in [*shipped_files(), *(Path(name) for name in files_of_repository() if name.parts[0] == "changelogs")]:
        target = COPY / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target)
    (AREA / "home").mkdir()
    # antsibull-changelog asks git what belongs to the collection: not this repository, which ignores .work.
    apart = {"GIT_CEILING_DIRECTORIES": str(WORK), "ANSIBLE_COLLECTIONS_PATH": str(AREA), "HOME": str(AREA / "home")}
    environment = with_path(BIN, **apart)
    if list((COPY / "changelogs" / "fragments").glob("*.yml")):
        command = [str(BIN / "antsibull-changelog"), "release", "--version", galaxy()["version"]]
        command += ["--date", of_last_commit("%cs")]
        subprocess.run(command, cwd=COPY, env=environment, check=True, stdout=subprocess.DEVNULL)
    command = [str(BIN / "ansible-galaxy"), "collection", "build", "--force", "--output-path", str(DIST)]
    subprocess.run(command, cwd=COPY, env=environment, check=True, stdout=subprocess.DEVNULL)
    path = tarball()
    path.write_bytes(
        zopfli.gzip.compress(in_order(gzip.decompress(path.read_bytes()), int(of_last_commit("%ct"))), numiterations=15)
    )
    return path


def in_order(archive: bytes, changed: int) -> bytes:
    """Return a tar archive with the two files that Galaxy reads first before all, then folders, then files by folder,
    kind and size, and all as old as `changed`, in seconds since 1970.

    ansible-galaxy takes them as the file system lists them, which differs between checkouts. What is alike needs less
    next to each other: folders, files of one kind and size in them, documentation, roles after the modules whose
    options they repeat, and the rooms of the module_utils that speak of the same.
    """

    def place(member: tarfile.TarInfo) -> tuple[bool, bool, str, int, str, str, int, str]:
        folder = member.name.replace("roles/", "plugins/modules/", 1).rpartition("/")[0] or "docs"
        room = folder.removeprefix(_ROOMS).partition("/")[0] if folder.startswith(_ROOMS) else ""
        first = member.name in ("MANIFEST.json", "FILES.json")
        index = _ALIKE.index(room) if room in _ALIKE else -1
        kind = member.name.rpartition(".")[2]
        area = _ROOMS if room else folder
        return not first, member.isfile(), area, index, folder, kind, member.size, member.name

    with tarfile.open(fileobj=io.BytesIO(archive)) as old, io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as new:
            for member in sorted(old.getmembers(), key=place):
                member.mtime = changed
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
        return buffer.getvalue()


if __name__ == "__main__":
    try:
        path = build()
    except subprocess.CalledProcessError as error:
        sys.exit(f"tarball: {error.cmd[0]} failed (exit code {error.returncode}), see above.")
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
