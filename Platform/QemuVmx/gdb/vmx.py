# SPDX-License-Identifier: GPL-2.0-or-later
"""GDB command ``vmx``: what the machine's monitor tells of VMX operation, in a session with QEMU's gdb stub.

(gdb) source Platform/QemuVmx/gdb/vmx.py
(gdb) vmx
"""

from __future__ import annotations

import gdb  # exists inside GDB only


class Vmx(gdb.Command):
    """Show VMX operation of the selected processor: mode, pointers, VMCS fields, the check behind the last failure.

    vmx        the selected thread's processor, with the fields of each VMCS
    vmx short  the same without the fields
    vmx all    every processor, without the fields
    """

    def __init__(self) -> None:
        """Register the command."""
        super().__init__("vmx", gdb.COMMAND_STATUS)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Ask the monitor.

        Raises:
            gdb.GdbError: another argument, or no session with QEMU.
        """
        if argument not in ("", "short", "all"):
            raise gdb.GdbError(f"vmx takes 'short', 'all' or nothing, not {argument!r}")
        thread = gdb.selected_thread()
        if thread is None:
            raise gdb.GdbError("vmx: no processor; connect with 'target remote' first")
        # QEMU numbers the threads of its processors from 1.
        cpu = "" if argument == "all" else f" {thread.ptid[1] - 1}"
        gdb.execute(f"monitor info vmx{'' if argument else ' -v'}{cpu}", from_tty)


Vmx()
