/* SPDX-License-Identifier: MIT
 *
 * What the driver needs of the machine it runs on.
 */
#ifndef BUS_H
#define BUS_H

#include <stdint.h>

/* Reads and writes a register, by its offset in bytes. */
uint32_t nw_bus_read(uint32_t offset);
void nw_bus_write(uint32_t offset, uint32_t value);

/* Tells whether an access was refused since this was asked last. */
int nw_bus_fault(void);

/* Sleeps until an interrupt, and returns 1; or for so many clocks, and returns 0. */
int nw_bus_wait(uint32_t clocks);

#endif
