# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's image: from the EDK II module to the file that the firmware loads into MSEG.

Beyond the standard library it needs pefile only, which a build has in stuart's environment.
"""

from build_scripts.stm_image.convert import Image, ImageError, convert
from build_scripts.stm_image.inspector import Report, inspect_image

__all__ = ["Image", "ImageError", "Report", "convert", "inspect_image"]
