# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What VMX costs, used and unused; ``python3 -m build_scripts bench`` runs it all."""
