# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Debian's Chromium, in which tests look at the pages, when there is none: `python3 tools/chromium.py`."""

from __future__ import annotations

import os
import shutil

from setup import apt_get, failed, stop

PACKAGE = "chromium"


def main() -> None:
    """Install it. Ends with a sentence where that is not possible."""
    if shutil.which(PACKAGE):
        return
    if shutil.which("apt-get") is None:
        stop(f"there is no {PACKAGE} and no apt-get: install it and run this again.")
    if os.geteuid() != 0:
        stop(f"there is no {PACKAGE}: run `apt-get install {PACKAGE}` as root, then run this again.")
    code, said = apt_get("Debian's package lists", "update")
    if code:  # the package may be in the lists that are there
        print(f"chromium: apt-get update failed, going on with the old lists: {said.splitlines()[-1:]}", flush=True)
    title = f"Debian package {PACKAGE}"
    code, said = apt_get(title, "install", "--yes", "--no-install-recommends", PACKAGE)
    if code:
        failed(title, code, said)


if __name__ == "__main__":
    main()
