# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An environment that would break a nested build which let it in."""

from __future__ import annotations

HOSTILE = {
    # edk2's makefiles do not know each other's order.
    "MAKEFLAGS": "-j64",
    "MFLAGS": "-k",
    "MAKELEVEL": "3",
    # Left behind by the edksetup.sh of another tree.
    "WORKSPACE": "/nonexistent/edk2",
    "PACKAGES_PATH": "/nonexistent/packages",
    "EDK_TOOLS_PATH": "/nonexistent/edk2/BaseTools",
    "BASE_TOOLS_PATH": "/nonexistent/edk2/BaseTools",
    "CONF_PATH": "/nonexistent/Conf",
    "PYTHON_COMMAND": "/nonexistent/python",
    "EDK_BUILD_CMD": "/nonexistent/build",
    # Compilers and their flags.
    "GCC_BIN": "/nonexistent/bin/",
    "GCC5_BIN": "/nonexistent/bin/",
    "NASM_PREFIX": "/nonexistent/bin/",
    "IASL_PREFIX": "/nonexistent/bin/",
    "CC": "/bin/false",
    "CXX": "/bin/false",
    "CFLAGS": "-Werror -Wall -Wextra -pedantic",
    "CPPFLAGS": "-DNULL=broken",
    "LDFLAGS": "-static",
    "LD": "/bin/false",
    "CPATH": "/nonexistent/include",
    "NINJA_STATUS": "ninja at %p ",
    "PKG_CONFIG_PATH": "/nonexistent/pkgconfig",
    "PKG_CONFIG_LIBDIR": "/nonexistent/pkgconfig",
    # Python's and git's.
    "PYTHONPATH": "/nonexistent/python",
    "PYTHONHASHSEED": "7",
    "GIT_DIR": "/nonexistent/.git",
    "BASH_ENV": "/nonexistent/profile",
}
