# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The real STM on bare metal, without OVMF."""
