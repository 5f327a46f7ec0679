# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the lab compiles from them: the machine, unpatched QEMU to compare with, the firmware."""
