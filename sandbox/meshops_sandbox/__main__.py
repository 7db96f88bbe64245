# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m meshops_sandbox` is the same as `meshops-sandbox`."""

from __future__ import annotations

from meshops_sandbox.cli import main

if __name__ == "__main__":
    main()
