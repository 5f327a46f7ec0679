# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands of the lab, a module each; `cli` holds their grammar."""
