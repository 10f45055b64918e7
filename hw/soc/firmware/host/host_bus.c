/* SPDX-License-Identifier: MIT */
#include "host_bus.h"

#include "bus.h"

static nw_host_read host_read;
static nw_host_write host_write;
static nw_host_fault host_fault;
static nw_host_wait host_wait;

void nw_host_attach(nw_host_read read, nw_host_write write, nw_host_fault fault,
                    nw_host_wait wait) {
    host_read = read;
    host_write = write;
    host_fault = fault;
    host_wait = wait;
}

uint32_t nw_bus_read(uint32_t offset) { return host_read(offset); }

void nw_bus_write(uint32_t offset, uint32_t value) { host_write(offset, value); }

int nw_bus_fault(void) { return host_fault(); }

int nw_bus_wait(uint32_t clocks) { return host_wait(clocks); }
