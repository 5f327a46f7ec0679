/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* As many protected ranges as there is room for, and tables that come back. */
#include "protect.h"

#define RANGES   256u
#define PER_LIST 127u
#define REGION   0x200000ull

/* A page in each of many regions of 2 MB: a table each. */
static uint64_t page_of(unsigned i)
{
    return ABOVE_4GB + 0x100000 + i * REGION;
}

static void all_pages(const char *name, uint32_t number)
{
    for (unsigned done = 0; done < RANGES; done += PER_LIST) {
        list_start(list_page);
        for (unsigned i = done; i < RANGES && i < done + PER_LIST; i++) {
            put_memory(page_of(i), PAGE_SIZE, 7);
        }
        expect_list(name, number, STM_SUCCESS);
        for (uint32_t offset = 0; offset < list_used - 16; offset += 32) {
            check_eq("RETURN-STATUS", name, granted(offset), 1);
        }
    }
}

static void check_pages(bool protected)
{
    static const unsigned some[] = { 0, 1, 126, 127, 128, 200, RANGES - 1 };

    for (unsigned i = 0; i < ARRAY_SIZE(some); i++) {
        if (protected) {
            caught("one-of-256", ACCESS_READ, page_of(some[i]));
            caught("one-of-256-last-byte", ACCESS_READ, page_of(some[i]) + PAGE_SIZE - 1);
        } else {
            allowed("none-of-256", ACCESS_READ, page_of(some[i]));
        }
        allowed("before-one-of-256", ACCESS_READ, page_of(some[i]) - 4);
        allowed("behind-one-of-256", ACCESS_READ, page_of(some[i]) + PAGE_SIZE);
    }
}

/* Ranges that take two tables each: more than there are, before the profile is full. */
static void put_wide(unsigned first)
{
    list_start(list_page);
    for (unsigned i = first; i < first + PER_LIST; i++) {
        put_memory(page_of(2 * i), REGION, 7);
    }
}

static void check_no_room(void)
{
    put_wide(0);
    expect_list("first-half", API_PROTECT, STM_SUCCESS);
    for (unsigned times = 0; times < 3; times++) {
        put_wide(PER_LIST);
        expect_list("no-room", API_PROTECT, STM_OUT_OF_RESOURCES);
        check_eq("RETURN-STATUS", "no-room", granted(0), 0);
        check_eq("RETURN-STATUS", "no-room-last", granted(32 * (PER_LIST - 1)), 0);
    }
    allowed("no-room", ACCESS_READ, page_of(2 * PER_LIST));
    allowed("between", ACCESS_READ, page_of(1));
    caught("first-half", ACCESS_READ, page_of(2 * (PER_LIST - 1)) + REGION - 4);
    put_wide(0);
    expect_list("give-back", API_UNPROTECT, STM_SUCCESS);
    put_wide(PER_LIST);
    expect_list("room-again", API_PROTECT, STM_SUCCESS);
    allowed("first-half-free", ACCESS_READ, page_of(0));
    caught("second-half", ACCESS_READ, page_of(2 * PER_LIST));
    put_wide(PER_LIST);
    expect_list("give-back", API_UNPROTECT, STM_SUCCESS);
}

void run_capacity(void)
{
    start();
    for (unsigned times = 0; times < 4; times++) {
        all_pages("protect-256", API_PROTECT);
        if (times == 0) {
            check_pages(true);
        }
        all_pages("unprotect-256", API_UNPROTECT);
    }
    check_pages(false);
    check_no_room();
    stop();
}
