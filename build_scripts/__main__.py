# SPDX-License-Identifier: BSD-2-Clause-Patent
# PYTHON_ARGCOMPLETE_OK
"""``python3 -m build_scripts``: bootstraps, then hands over to the command line.

Standard library only up to the last import.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the lab and return its exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - said before anything newer is imported
        print("stmlab: needs Python 3.11 or later", file=sys.stderr)
        return 3
    from build_scripts import __version__, bootstrap, disk
    from build_scripts.errors import LabError

    if sys.argv[1:] == ["--version"]:  # needs nothing that would have to be installed first
        print(f"stmlab {__version__}")
        return 0
    if "_ARGCOMPLETE" in os.environ and not bootstrap.ready():
        return 1  # a shell waits for completions: no time to install anything
    try:
        bootstrap.enter(sys.argv[1:])
    except LabError as error:
        print(f"stmlab: {error}", file=sys.stderr)
        return int(error.code)
    except OSError as failed:
        found = disk.explained(failed)
        if found is None:
            raise
        print(f"stmlab: {found}", file=sys.stderr)
        return int(found.code)
    from build_scripts import cli

    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
