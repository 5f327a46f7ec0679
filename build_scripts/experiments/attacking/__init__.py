# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What carries out attacks and tells what became of them; the attacks are in ``build_scripts/experiments/attacks``."""
