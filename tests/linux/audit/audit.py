#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Process of the machine's Linux: runs chipsec's modules about SMM, and writes what each found."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from pathlib import Path
from typing import Any

MODULES = ("common.smrr", "common.smm_code_chk", "common.memlock")
RESULT = Path("/result.json")
_FINIT_MODULE = 313


def _load(module: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    file = os.open(f"/lib/lab/{module}", os.O_RDONLY)
    if libc.syscall(_FINIT_MODULE, file, b"", 0) != 0:
        print(f"audit: {module}: {os.strerror(ctypes.get_errno())}", flush=True)


def _audit(module: str) -> None:
    chipsec_main = importlib.import_module("chipsec_main")
    native = importlib.import_module("chipsec.helper.linuxnative.linuxnativehelper")

    def read_phys_mem(self: Any, address: int, length: int) -> bytes:
        # /dev/mem reads nothing above the kernel's own memory, where TSEG is; it maps that.
        self.map_io_space(address, length, 0)
        region = self.memory_mapping(address, length)
        return bytes(region[address - region.start : address - region.start + length])

    native.LinuxNativeHelper.read_phys_mem = read_phys_mem
    arguments = ["-m", module, "--helper", "linuxnativehelper", "-nl", "-nb", "-j", str(RESULT)]
    chipsec_main.ChipsecMain(chipsec_main.parse_args(arguments), arguments).main()
    print(f"audit: {module}: {' '.join(RESULT.read_text(encoding='ascii').split())}", flush=True)


def main() -> None:
    """Each module in a process of its own: chipsec ends with what it has open."""
    _load("msr.ko")
    sys.path.insert(0, "/audit")
    for module in MODULES:
        child = os.fork()
        if child == 0:
            _audit(module)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(f"audit: {module}: status {status}", flush=True)


main()
