# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders that somebody gives: only regular files are read, never more than a bound, and what is not read is
named.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

SUFFIXES = (".yaml", ".yml", ".json")
#: Folders and files that a folder may hold; a home directory given by mistake has more.
MAX_ENTRIES = 100_000
#: How often a file is read again that is written meanwhile.
_ATTEMPTS = 3


@dataclass
class FolderContent:
    """`files` to read, sorted; `others` are files with other suffixes, `special` what is no file (a FIFO, a device)."""

    files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    folders: dict[Path, list[str]] = field(default_factory=dict)


def find(root: Path) -> FolderContent:
    """Return what is in a folder and below, linked folders included, each folder once. Hidden names are left out.

    Raises InvalidInput for a folder that cannot be read and for too many entries.
    """
    content = FolderContent()
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    entries = 0
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue  # a link that leads back
            seen.add((status.st_dev, status.st_ino))
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError as error:
            raise InvalidInput(f"The folder {folder} cannot be read: {error.strerror}.") from error
        entries += len(names)
        if entries > MAX_ENTRIES:
            raise InvalidInput(
                f"The folder {root} holds more than {MAX_ENTRIES} files and folders.", do="Give the one that is meant."
            )
        content.folders[folder] = names
        for name in names:
            path = folder / name
            try:
                mode = path.stat().st_mode
            except OSError as error:
                # A link to nowhere, or one that leads to itself.
                content.special.append(f"{path} ({error.strerror})")
                continue
            if stat.S_ISDIR(mode):
                waiting.append(path)
            elif not stat.S_ISREG(mode):
                content.special.append(f"{path} ({_what(mode)})")
            elif name.lower().endswith(SUFFIXES):
                content.files.append(path)
            else:
                content.others.append(path)
    content.files.sort()
    content.others.sort()
    return content


def read_bytes(file: Path, most: int, *, do: str = "Give only those objects that belong to the mesh.") -> bytes:
    """Return the content of a regular file of at most `most` bytes, as it was at one moment.

    `do` is what to do about a larger one.

    Raises InvalidInput for what is no file, is larger, cannot be read, or is written again and again meanwhile.
    """
    for _attempt in range(_ATTEMPTS):
        try:
            # O_NONBLOCK: to open a FIFO would wait for somebody to write into it.
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
        with open(descriptor, "rb") as stream:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise InvalidInput(f"{file} is no file but {_what(before.st_mode)}.", do="Give a file or a folder.")
            if before.st_size > most:
                raise InvalidInput(
                    f"{file} has {before.st_size / 2**20:.0f} MiB, and only {most / 2**20:.0f} MiB more are read.",
                    do=do,
                )
            try:
                data = stream.read(most + 1)
            except OSError as error:
                raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
            after = os.fstat(descriptor)
        unchanged = (
            (before.st_mtime_ns, before.st_size)
            == (after.st_mtime_ns, after.st_size)
            == (
                after.st_mtime_ns,
                len(data),
            )
        )
        if unchanged:
            return data
    raise InvalidInput(f"{file} is being written while it is read.", do="Run again when it is complete.")


def _what(mode: int) -> str:
    kinds = [
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ]
    return next((name for test, name in kinds if test(mode)), "something else")
