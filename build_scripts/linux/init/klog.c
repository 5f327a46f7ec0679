/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The kernel's log: warnings about virtualisation, and every sign that the kernel itself is unwell. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab.h"

enum { WARNING_LEVEL = 4, LEVEL_MASK = 7, LEVEL_BITS = 3 };

static bool mentions(const char *text, const char *const *words, char *(*find)(const char *, const char *))
{
    for (; *words; words++) {
        if (find(text, *words)) {
            return true;
        }
    }
    return false;
}

void check_log(bool all)
{
    static const char *const topics[] = {"kvm", "vmx", "irqbypass", NULL};
    static const char *const alarms[] = {"WARNING:", "BUG:", "Call Trace", "Oops", "rcu: INFO:", "soft lockup",
                                         "unchecked MSR", "Hardware Error", NULL};
    char record[8192];
    int lines = 0, bad = 0;
    int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    for (ssize_t length; (length = read(log, record, sizeof(record) - 1)) > 0; lines++) {
        unsigned priority;
        char kind;
        record[length] = '\0';
        char *text = strchr(record, ';');

        /* Facility 0 is the kernel; our own lines have another. */
        if (!text || sscanf(record, "%u,%*u,%*u,%c", &priority, &kind) != 2 || priority >> LEVEL_BITS != 0) {
            continue;
        }
        text++;
        text[strcspn(text, "\n")] = '\0';
        /* The rest of a line that another one has come between ('c') has a level that nobody gave it. */
        bool warning = kind != 'c' && (priority & LEVEL_MASK) <= WARNING_LEVEL &&
                       (all || mentions(text, topics, strcasestr));
        if (warning || mentions(text, alarms, strstr)) {
            bad++;
            report("log-line", "level=%u text=%s", priority & LEVEL_MASK, text);
        }
    }
    close(log);
    report("log", "lines=%d bad=%d", lines, bad);
}
