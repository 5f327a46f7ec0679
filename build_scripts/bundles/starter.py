# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What ``python3 BUNDLE [FOLDER]`` does: unpacks the checkout that the bundle carries, and imports the rest with it.

It is the bundle's ``__main__.py`` by way of `main`, and runs out of the archive. Standard library only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from build_scripts import paths
from build_scripts.bundles import host
from build_scripts.bundles.archive import CHECKOUT, Bundle
from build_scripts.errors import ExitCode, LabError

DEFAULT_FOLDER = "stmlab"
# The member that Python starts.
PROGRAM = f"""# SPDX-License-Identifier: BSD-2-Clause-Patent
import pathlib, sys
if sys.version_info < (3, 11):
    sys.exit("stmlab: needs Python 3.11 or later")
archive = pathlib.Path(sys.path[0]).resolve()
sys.path[0] = str(archive / "{CHECKOUT}")
from build_scripts.bundles import starter
sys.exit(starter.main(archive, sys.argv[1:]))
"""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the checkout into a new folder.

    Raises:
        LabError: the bundle is damaged or not for this system, or the folder is there.
    """
    if folder.exists():
        raise LabError(
            f"{folder} exists already",
            ExitCode.USAGE,
            remedy=f"name another folder: python3 {archive.name} FOLDER",
        )
    with Bundle(archive) as bundle:
        host.need_same(bundle)
        with paths.published(folder) as staging:
            bundle.unpack(CHECKOUT, staging)


def main(archive: Path, words: list[str]) -> int:
    """Unpack and import; returns an exit code unless the import takes over."""
    help_wanted = bool({"-h", "--help"} & {*words})
    if len(words) > 1 or help_wanted:
        print(f"usage: python3 {archive.name} [FOLDER]")
        print(f"\nUnpacks STM Lab into FOLDER (default: {DEFAULT_FOLDER}) and prepares it.")
        return int(ExitCode.OK if help_wanted else ExitCode.USAGE)
    folder = Path(words[0] if words else DEFAULT_FOLDER).absolute()
    try:
        unpack(archive, folder)
    except LabError as error:
        print(f"stmlab: {error}", file=sys.stderr)
        return int(error.code)
    except OSError as error:
        print(f"stmlab: {error.filename or folder}: {error.strerror}", file=sys.stderr)
        return int(ExitCode.BUILD_FAILED)
    print(f"stmlab: unpacked {folder}", file=sys.stderr, flush=True)
    os.chdir(folder)
    command = [sys.executable, "-m", "build_scripts", "bundle", "import", str(archive)]
    os.execve(sys.executable, command, dict(os.environ, PYTHONPATH=str(folder)))
