/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the images of the benchmarks share: loops, clock, EPT, samples. */
#ifndef BENCHMARKS_BENCH_H
#define BENCHMARKS_BENCH_H

#include "vmx.h"

/* How often each thing is measured, and the round trips of one sample. */
#ifndef REPEATS
#define REPEATS 25
#endif
#ifndef ROUNDS
#define ROUNDS 300
#endif

#define EPT_RWX   7u
#define EPT_WB    (6u << 3)
#define EPT_LARGE (1u << 7)
#define EPTP_WB4  0x1Eu /* WB, page-walk length 4 */

enum paging { NO_EPT, EPT_2M, EPT_4K, PAGINGS };

/* ---- loops.asm ---- */
uint64_t bench_ticks(void);
bool bench_rounds(uint64_t rounds, void (*on_exit)(void));
extern volatile uint64_t bench_first, bench_pages, bench_table, bench_entry;
void on_exit_skip(void);
void on_exit_nothing(void);
void on_exit_map(void);
void guest_cpuid(void);
void guest_vmcall(void);
void guest_new_page(void);
void guest_spin(void);
void native_cpuid(uint64_t rounds);
void native_touch(uint64_t rounds);
void native_flush(uint64_t rounds);

/* ---- bench.c ---- */
/* Prints how many ticks of the time-stamp counter the platform's clock counts
 * to a given time; call it last. */
void clock_start(void);
void clock_end(void);
/* One SAMPLE line: `rounds` of `name` took `ticks`. */
void sample(const char *name, enum paging paging, uint32_t pages,
            uint64_t rounds, uint64_t ticks);
/* The current VMCS translates by EPT as asked for; identity below 1 GiB. */
void use_paging(enum paging paging);
/* The page directory of the last use_paging() for a second GiB, empty. */
uint64_t spare_directory(void);

#endif
