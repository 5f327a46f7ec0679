// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent
/*
 * The STM's event log, in a page of the module's that the SMI handler is kept from.
 *
 * The log ends with the STM's session, so that each session opens a new one. The STM
 * writes it while SMIs run; an entry that is read is locked meanwhile, and what the STM
 * could not write then is missing from the serial numbers.
 */
#include <asm/cmpxchg.h>
#include <asm/processor.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "log.h"
#include "stm.h"

#define LOG_PLACES (PAGE_SIZE / sizeof(struct log_entry))
#define MOST_TRIES 100000

enum { LOG_NEW = 1, LOG_CONFIGURE, LOG_START };

/* STM_EVENT_LOG_MANAGEMENT_REQUEST; value is PageCount or EventEnableBitmap. */
struct log_request {
	u32 function;
	u32 value;
	u64 pages[1];
} __packed;

/* STM_RSC_MEM_DESC and STM_RSC_END: what the module has the STM protect. */
struct resource_list {
	u32 type;
	u32 bytes;
	u64 base;
	u64 length;
	u64 access;
	u32 end_type;
	u32 end_bytes;
	u64 end_pages;
} __packed;

enum { RESOURCE_END, RESOURCE_MEMORY };

/* STM_LOG_ENTRY: LOG_ENTRY_HEADER, then what the entry is about. */
struct log_entry {
	u32 serial;
	u16 type;
	u16 flags;
	union {
		u32 api;             /* invalid-parameter */
		u64 vmcs;            /* domain-type-degraded */
		struct {             /* all others but log-started and log-stopped */
			u32 type;
			u32 bytes;
			u64 base;    /* of memory and MMIO */
			u64 length;
			u32 access;
		} __packed resource;
		u8 all[248];
	} data;
} __packed;

enum { ENTRY_LOCK = BIT(0), ENTRY_VALID = BIT(1), ENTRY_READ = BIT(2), ENTRY_WRAPPED = BIT(3) };
enum { LOG_STARTED, LOG_STOPPED, INVALID_PARAMETER, DOMAIN_TYPE_DEGRADED = 9 };

/* In the order of EVENT_TYPE. */
static const char *const event_names[] = {
	"log-started",	      "log-stopped",	   "invalid-parameter", "handled-protection-exception",
	"unclaimed-resource", "protection-granted", "protection-denied", "unprotect",
	"unprotect-error",    "domain-type-degraded",
};

static struct log_entry *log_page;
static void *request_page; /* used with interrupts off by the processor that opens the session */

int mle_log_allocate(void)
{
	BUILD_BUG_ON(sizeof(struct log_entry) != 256);
	log_page = (void *)get_zeroed_page(GFP_KERNEL);
	request_page = (void *)get_zeroed_page(GFP_KERNEL);
	return log_page && request_page ? 0 : -ENOMEM;
}

void mle_log_free(void)
{
	free_page((unsigned long)log_page);
	free_page((unsigned long)request_page);
}

static int manage(struct mle_processor *this, u32 function, u32 value)
{
	struct log_request *request = request_page;

	*request = (struct log_request){function, value, {virt_to_phys(log_page)}};
	return mle_call(this, STM_MANAGE_EVENT_LOG, virt_to_phys(request_page), 0);
}

int mle_log_open(struct mle_processor *this)
{
	struct resource_list *list = request_page;
	int error;

	memset(log_page, 0, PAGE_SIZE);
	error = manage(this, LOG_NEW, 1);
	if (!error)
		error = manage(this, LOG_CONFIGURE, BIT(ARRAY_SIZE(event_names)) - 1);
	if (!error)
		error = manage(this, LOG_START, 0);
	if (error)
		return error;
	*list = (struct resource_list){
		.type = RESOURCE_MEMORY, .bytes = 32, .base = virt_to_phys(log_page), .length = PAGE_SIZE, .access = 7,
		.end_type = RESOURCE_END, .end_bytes = 16,
	};
	return mle_call(this, STM_PROTECT_RESOURCE, virt_to_phys(request_page), 0);
}

/* Returns false if the STM of another processor holds the entry, or there is none. */
static bool read_entry(unsigned int place, struct log_entry *copy)
{
	struct log_entry *entry = &log_page[place];
	unsigned int tries;
	u16 flags;

	for (tries = 0; tries < MOST_TRIES; tries++) {
		flags = READ_ONCE(entry->flags);
		if (!(flags & ENTRY_VALID))
			return false;
		if (!(flags & ENTRY_LOCK) && cmpxchg(&entry->flags, flags, flags | ENTRY_LOCK) == flags) {
			*copy = *entry;
			copy->flags = flags;
			smp_store_release(&entry->flags, flags | ENTRY_READ);
			return true;
		}
		cpu_relax();
	}
	return false;
}

static void show_entry(struct seq_file *file, const struct log_entry *entry)
{
	seq_printf(file, "serial=%u event=%s read=%d wrapped=%d", entry->serial,
		   entry->type < ARRAY_SIZE(event_names) ? event_names[entry->type] : "unknown",
		   !!(entry->flags & ENTRY_READ), !!(entry->flags & ENTRY_WRAPPED));
	if (entry->type == INVALID_PARAMETER)
		seq_printf(file, " api=0x%x", entry->data.api);
	else if (entry->type == DOMAIN_TYPE_DEGRADED)
		seq_printf(file, " vmcs=0x%llx", entry->data.vmcs);
	else if (entry->type != LOG_STARTED && entry->type != LOG_STOPPED)
		seq_printf(file, " resource=%u", entry->data.resource.type);
	if (entry->type > INVALID_PARAMETER && entry->type < DOMAIN_TYPE_DEGRADED &&
	    entry->data.resource.type == RESOURCE_MEMORY)
		seq_printf(file, " base=0x%llx length=0x%llx access=%u", entry->data.resource.base,
			   entry->data.resource.length, entry->data.resource.access);
	seq_putc(file, '\n');
}

void mle_log_show(struct seq_file *file)
{
	unsigned int place, shown;
	u32 least = 0;

	/* By serial number: the place behind the newest entry holds the oldest. */
	for (shown = 0; shown < LOG_PLACES; shown++) {
		struct log_entry *next = NULL, copy;
		unsigned int found = 0;

		for (place = 0; place < LOG_PLACES; place++) {
			struct log_entry *one = &log_page[place];

			if ((one->flags & ENTRY_VALID) && one->serial >= least && (!next || one->serial < next->serial)) {
				next = one;
				found = place;
			}
		}
		if (!next || !read_entry(found, &copy))
			return;
		show_entry(file, &copy);
		least = copy.serial + 1;
	}
}
