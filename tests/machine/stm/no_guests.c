/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What firmware.c asks of an image that lets its handler access nothing and takes no NMI. */
#include "stm_under_test.h"

volatile uint32_t nmi_count;

void guarded_access(void)
{
}
