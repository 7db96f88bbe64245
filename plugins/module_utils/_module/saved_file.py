# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a module saves its answer in: replaced in one step, and a new one can be read by its owner only.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput


def target_of(path: str) -> Path:
    """Return the file that a path leads to, through links. Raises InvalidInput when no file can be there."""
    target = Path(os.path.realpath(Path(path).expanduser()))
    if target.is_dir():
        raise InvalidInput(f"{path} is a folder.", do="Give the name of a file as path.")
    if not target.parent.is_dir():
        raise InvalidInput(f"The folder {target.parent} does not exist.", do="Create it first, or correct path.")
    return target


@contextlib.contextmanager
def replaced(target: Path) -> t.Iterator[t.TextIO]:
    """Yield a file to write to, which becomes `target` at the end, with its mode; an error leaves all as it was.

    Raises InvalidInput when it cannot be saved.
    """
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                yield file
            if target.exists():
                Path(name).chmod(target.stat().st_mode & 0o7777)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidInput(f"{target} cannot be saved: {error.strerror or error}.") from error
