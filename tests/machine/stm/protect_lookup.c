/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ADDRESS_LOOKUP. */
#include "protect.h"

#define LOOKUP_IA32E 0x10u /* InterruptedIa32eMode */

static void look_up(const char *name, uint64_t at, const struct lookup *request, uint32_t status)
{
    lookup = *request;
    lookup.physical = 0x5A5A;
    handler_does(ACCESS_LOOKUP, at);
    check_eq("LOOKUP", name, handler_value, status ? 1ull << 32 | status : 0);
    check_eq("LOOKUP-INPUT", name, lookup.linear, request->linear);
    if (status) {
        check_eq("LOOKUP-PHYSICAL", name, lookup.physical, 0x5A5A);
    }
}

/* `guarded` is protected. */
void check_lookup(void)
{
    const struct lookup good = { data_page + 5, 8, read_cr3(), 0, LOOKUP_IA32E, 0, 0, 0 };
    struct lookup request = good;

    look_up("found", LOOKUP_AT, &good, STM_SUCCESS);
    check_eq("LOOKUP", "physical", lookup.physical, data_page + 5);
    request.cr3 += 0x1000;
    look_up("cr3", LOOKUP_AT, &request, STM_BAD_CR3);
    request = good;
    request.linear = 1ull << 39;
    look_up("not-mapped", LOOKUP_AT, &request, STM_PAGE_NOT_FOUND);
    request.linear = 1ull << 47;
    look_up("not-canonical", LOOKUP_AT, &request, STM_PAGE_NOT_FOUND);
    request.linear = guarded;
    look_up("protected", LOOKUP_AT, &request, STM_SECURITY_VIOLATION);
    request.linear = guarded - 4;
    look_up("into-protected", LOOKUP_AT, &request, STM_SECURITY_VIOLATION);
    request.length = 4;
    look_up("before-protected", LOOKUP_AT, &request, STM_SUCCESS);
    request = good;
    request.linear = MSEG_BASE;
    look_up("mseg", LOOKUP_AT, &request, STM_SECURITY_VIOLATION);
    request = good;
    request.length = 0;
    look_up("no-bytes", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request.length = 0x10001;
    look_up("too-long", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request = good;
    request.linear = ~0ull - 3;
    look_up("wraps", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request = good;
    request.reserved = 1;
    look_up("reserved", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request = good;
    request.eptp = 0x1E;
    look_up("ept-of-nobody", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request = good;
    request.flags |= 1;
    look_up("one-to-one", LOOKUP_AT, &request, STM_NOT_SUPPORTED);
    look_up("outside-smram", list_page, &good, STM_UNSPECIFIED);
    look_up("crosses-page", LOOKUP_AT + PAGE_SIZE - 8, &good, STM_UNSPECIFIED);
}

