# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rules of the dual-monitor treatment as a program, and its comparison with the machine."""
