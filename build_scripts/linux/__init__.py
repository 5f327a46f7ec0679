# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The distribution's Linux kernel and its KVM, booted in the machine."""
