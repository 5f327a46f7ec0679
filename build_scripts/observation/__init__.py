# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a run recorded: records, transitions, SMIs, and how they are shown."""
