# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""go test over the Go programs of this project, with the Go that the sandbox builds with."""

from __future__ import annotations

import os
import subprocess
import sys

from meshops_sandbox.build import toolchain, versions
from meshops_sandbox.build.cache import Cache
from meshops_sandbox.build.commands import Commands
from testrun.steps import LOGS, ROOT

FOLDERS = ("helloworld",)


def main() -> int:
    """Run vet and the tests of every folder; 1 when one of them fails."""
    cache, wanted = Cache(), versions.current().go
    go = toolchain.find(cache, wanted)
    if go is None:
        LOGS.mkdir(parents=True, exist_ok=True)
        go = toolchain.install(cache, wanted, Commands(), LOGS / "go-install.log", print)
    bad = 0
    for name in FOLDERS:
        for command in (["vet", "./..."], ["test", "-v", "-count=1", "./..."]):
            print(f"go {' '.join(command)} in sandbox/go/{name}", flush=True)
            done = subprocess.run(
                [str(go), *command],
                cwd=ROOT / "sandbox" / "go" / name,
                env={**os.environ, **toolchain.environment()},
                check=False,
            )
            bad = bad or done.returncode
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
