/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* SMIs while KVM is in VMX operation: they interrupt every processor, in a guest or not. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/io.h>
#include <unistd.h>

#include "lab.h"

enum { APM_CONTROL = 0xb2, SMI_COUNT = 0x34, MOST_PROCESSORS = 16 };

static int raised;

void raise_smi(void)
{
    if (raised == 0 && ioperm(APM_CONTROL, 1, 1)) {
        return;
    }
    /* No handler of the firmware knows this command. */
    outb(0xff, APM_CONTROL);
    raised++;
}

void report_smis(void)
{
    char counts[MOST_PROCESSORS * 32] = "";
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    for (int cpu = 0, length = 0; cpu < processors && cpu < MOST_PROCESSORS; cpu++) {
        char path[32];
        uint64_t count;

        snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (pread(file, &count, sizeof(count), SMI_COUNT) != sizeof(count)) {
            count = 0;
        }
        close(file);
        length += snprintf(counts + length, sizeof(counts) - (size_t)length, " count%d=%llu", cpu,
                           (unsigned long long)count);
    }
    report("smis", "raised=%d%s", raised, counts);
}
