/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* SMIs while KVM is in VMX operation: they interrupt every processor, in a guest or not. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/io.h>
#include <unistd.h>

#include "lab.h"

enum { APM_CONTROL = 0xb2, SMI_COUNT = 0x34 };

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
    uint64_t counts[2] = {0};

    for (int i = 0; i < 2; i++) {
        char path[32];

        snprintf(path, sizeof(path), "/dev/cpu/%d/msr", i);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (pread(file, &counts[i], sizeof(counts[i]), SMI_COUNT) != sizeof(counts[i])) {
            counts[i] = 0;
        }
        close(file);
    }
    report("smis", "raised=%d count0=%llu count1=%llu", raised, (unsigned long long)counts[0],
           (unsigned long long)counts[1]);
}
