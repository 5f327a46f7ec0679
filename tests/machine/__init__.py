# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Bare-metal test images for the extended QEMU."""
