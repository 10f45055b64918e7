/* SPDX-License-Identifier: MIT
 *
 * The bus of a driver that was compiled for the host: whoever calls the driver answers.
 */
#ifndef HOST_BUS_H
#define HOST_BUS_H

#include <stdint.h>

typedef uint32_t (*nw_host_read)(uint32_t offset);
typedef void (*nw_host_write)(uint32_t offset, uint32_t value);
typedef int (*nw_host_fault)(void);
typedef int (*nw_host_wait)(uint32_t clocks);

/* Takes the answering functions; see bus.h. */
void nw_host_attach(nw_host_read read, nw_host_write write, nw_host_fault fault,
                    nw_host_wait wait);

#endif
