# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QEMU as a process: processors and command line, start, QMP, end."""
