# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What newer sources than the pinned ones would make of us: the patches of the machine, what the firmware names."""
