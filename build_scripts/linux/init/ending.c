/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The ways in which the machine ends; how the kernel resets it is a word of its own command line (reboot=). */
#include <fcntl.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "lab.h"

void end_machine(const char *how)
{
    if (how && strcmp(how, "reboot") == 0) {
        reboot(RB_AUTOBOOT);
    } else if (how && strcmp(how, "panic") == 0) {
        int file = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
        /* Does not return. */
        if (write(file, "c", 1) != 1) {
            report("panic", "error=1");
        }
    }
    reboot(RB_POWER_OFF);
}
