# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What VMX costs, used and unused: measured, summed up, written into the documentation."""
