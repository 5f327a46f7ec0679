# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Builds inside a build: the environment that they get, and the lines in which they name their error.

Standard library only: the platform's stuart settings use it before anything else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

# What a build may see of the caller's environment. A list of what is allowed, because nobody
# can list what make, ninja, gcc, nasm, git, Python and edk2 react to: MAKEFLAGS=-j64 breaks
# edk2's makefiles, CFLAGS end in QEMU's configuration, and a WORKSPACE or GCC_BIN that an
# earlier edksetup.sh left behind sends the build into another tree.
_ALLOWED = re.compile(
    r"""
    PATH | HOME | USER | LOGNAME | SHELL | TERM | COLORTERM | NO_COLOR | COLUMNS | LINES
    | LANG | LANGUAGE | LC_\w+ | TZ | TMPDIR | XDG_\w+ | DISPLAY | WAYLAND_DISPLAY | DBUS_SESSION_BUS_ADDRESS
    | (?i:https?_proxy|ftp_proxy|all_proxy|no_proxy) | SSL_CERT_(?:FILE|DIR) | CURL_CA_BUNDLE | REQUESTS_CA_BUNDLE
    | GIT_SSL_\w+ | APT_CONFIG | DEBIAN_FRONTEND | CI
    | CCACHE_\w+ | LD_LIBRARY_PATH | VIRTUAL_ENV | FAKEROOTKEY
    | EDK2_DIR | QEMU_SRC | QEMU_PATH | QEMU_CPU | QEMU_SCRIPT | STM_IMAGE | STMLAB_\w+ | PYTEST_\w+
    """,
    re.VERBOSE,
)
# The lines by which compilers, assemblers, linkers, edk2's build and configure say what is wrong; make's
# and ninja's "*** Error 1" and "FAILED" only pass it on.
_CAUSE = re.compile(
    r"""
    :\s(?:fatal\s)?error:                 # gcc, nasm, iasl
    | undefined\sreference\sto | multiple\sdefinition\sof | ld:\scannot\sfind
    | :\serror\s(?!7000\b|F002\b)[0-9A-F]{4}:  # edk2's build; 7000 and F002 say that a command failed
    | ERROR:\s(?!Build\ end)                   # configure and meson
    | command\snot\sfound | No\ssuch\sfile\sor\sdirectory | No\sspace\sleft\son\sdevice
    | virtual\smemory\sexhausted | \bKilled\b
    """,
    re.VERBOSE,
)
_CAUSES_SHOWN = 3


def clean_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of an environment that a nested build gets.

    Args:
        variables: the environment; this process's without it.
    """
    given = os.environ if variables is None else variables
    return {name: value for name, value in given.items() if _ALLOWED.fullmatch(name)}


def clean_own_environment() -> None:
    """Remove from this process's environment what no nested build is to see."""
    for name in set(os.environ) - set(clean_environment()):
        del os.environ[name]


class Causes:
    """Collects the first lines of a build's output that name an error."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def read(self, line: str) -> None:
        """Take one line of output."""
        text = line.strip()
        if len(self.found) < _CAUSES_SHOWN and _CAUSE.search(text) and text not in self.found:
            self.found.append(text)
