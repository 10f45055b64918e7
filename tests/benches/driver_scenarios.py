"""What the driver must do, whatever answers it: a model of the registers, or the simulated RTL.

Each scenario takes a driver of a device that was just reset, and the device. Scenarios of
``BREAKDOWNS`` need a device that can break down in ways in which RTL does not.

``python -m tests.benches.driver_scenarios LIBRARY`` runs them all on the model, with a library that
may have been compiled with sanitizers; with ``overrun`` behind it, a call that such a library must
not let pass.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flow.soc.driver import Driver, Library, Status
from flow.soc.registers.generated import NoiseRegisters
from flow.soc.registers.model import RegisterModel

TIME_LIMIT = 2000
IMAGES, RESULTS = 0x4000, 0x6000
"""Where images and results lie."""

Scenario = Callable[[Driver, Any], None]


def recognises_the_device(driver: Driver, device: Any) -> None:
    """Shape of images and results is read from it."""
    assert driver.init(TIME_LIMIT) == Status.OK
    found = driver.device
    assert (found.taps, found.image_words, found.classes) == (
        device.taps, device.image_words, device.classes,
    )  # fmt: skip


def runs_images(driver: Driver, device: Any) -> None:
    """Back to back, with counters that go on and start again at init."""
    registers = NoiseRegisters(device.read, device.write)
    assert driver.init(TIME_LIMIT) == Status.OK
    assert driver.run(3, IMAGES, RESULTS) == Status.OK
    assert registers.read("IMAGES_OUT") == 3 and 0 < driver.cycles() < TIME_LIMIT
    assert driver.label() < device.classes
    assert driver.run(2, IMAGES, RESULTS) == Status.OK
    assert registers.read("IMAGES_IN") == registers.read("IMAGES_OUT") == 5
    assert driver.init(TIME_LIMIT) == Status.OK
    assert registers.read("IMAGES_IN") == registers.read("IMAGES_OUT") == 0


def sets_noise(driver: Driver, device: Any) -> None:
    """All registers of a tap, from the next image on."""
    registers = NoiseRegisters(device.read, device.write)
    assert driver.init(TIME_LIMIT) == Status.OK
    assert driver.run(2, IMAGES, RESULTS) == Status.OK
    values = random.Random(3)
    noise = {
        "seed_low": values.getrandbits(32),
        "seed_high": values.getrandbits(32),
        "image_base": values.getrandbits(32),
        "sigma_add": values.getrandbits(32),
        "sigma_mul": values.getrandbits(24),
        "control": 0x1F3F0F,
        "gain_rate": values.getrandbits(32),
        "sigma_rate": values.getrandbits(32),
        "adc_step": values.getrandbits(32),
    }
    assert driver.set_noise(1, **noise) == Status.OK
    tap = registers.tap(1)
    assert {name: tap.read(name.upper()) for name in noise} == noise
    assert tap.read("START") == 2
    assert registers.tap(0).read("SEED_LOW") == 0
    assert driver.digest(1)[0] == Status.OK


def loads_a_table(driver: Driver, device: Any) -> None:
    """Entry by entry."""
    assert driver.init(TIME_LIMIT) == Status.OK
    assert driver.load_table(0, [1, 2, 3, 4], 2) == Status.OK
    tap = NoiseRegisters(device.read, device.write).tap(0)
    assert (tap.read("TABLE_LOW"), tap.read("TABLE_HIGH")) == (3, 4)


def refuses_what_it_cannot_do(driver: Driver, device: Any) -> None:
    """Arguments that do not fit, and runs that the device interrupts with an error."""
    assert driver.init(TIME_LIMIT) == Status.OK
    beyond = device.taps
    assert driver.set_noise(beyond) == Status.NO_SUCH_TAP
    assert driver.load_table(beyond, [0, 0], 1) == Status.NO_SUCH_TAP
    assert driver.digest(beyond)[0] == Status.NO_SUCH_TAP
    assert driver.set_noise(0, sigma_mul=1 << 24) == Status.BAD_ARGUMENT
    assert driver.set_noise(0, control=1 << 4) == Status.BAD_ARGUMENT
    assert driver.set_noise(0, control=1 << 21) == Status.BAD_ARGUMENT
    for images, image, result, cause in (
        (0, IMAGES, RESULTS, 2),
        (1, IMAGES + 1, RESULTS, 3),
        (1, device.memory_bytes, RESULTS, 3),
        (1, IMAGES, RESULTS + 2, 4),
        (1, IMAGES, device.memory_bytes - 4, 4),
        (1 << 31, IMAGES, RESULTS, 3),
    ):
        assert driver.run(images, image, result) == Status.REFUSED
        assert driver.device.cause == cause
    # and goes on
    assert driver.run(1, IMAGES, RESULTS) == Status.OK


def gives_up_a_device_that_is_busy_for_ever(driver: Driver, device: Any) -> None:
    """And init brings it back."""
    assert driver.init(TIME_LIMIT) == Status.OK
    device.hang = True
    assert driver.run(1, IMAGES, RESULTS) == Status.TIMEOUT
    assert driver.set_noise(0) == Status.BUSY
    assert driver.load_table(0, [0, 0], 1) == Status.BUSY
    assert driver.start(1, IMAGES, RESULTS) == Status.BUSY
    device.hang = False
    assert driver.init(TIME_LIMIT) == Status.OK
    assert driver.run(1, IMAGES, RESULTS) == Status.OK


def gives_up_a_tap_that_takes_nothing(driver: Driver, device: Any) -> None:
    """Its settings must not be written while it has not taken those before."""
    assert driver.init(TIME_LIMIT) == Status.OK
    device.pending = True
    assert driver.set_noise(0) == Status.TIMEOUT
    device.pending = False
    assert driver.set_noise(0) == Status.OK


def knows_what_is_not_its_device(driver: Driver, device: Any) -> None:
    """By identification and version."""
    device._set("IDENTIFICATION", 0x4B4C574F)
    assert driver.init(TIME_LIMIT) == Status.BAD_IDENTIFICATION
    device._set("IDENTIFICATION", 0x4B4C574E)
    device._set("VERSION", 2 << 16)
    assert driver.init(TIME_LIMIT) == Status.BAD_VERSION
    device._set("VERSION", 1 << 16 | 7)
    assert driver.init(TIME_LIMIT) == Status.OK


def tells_of_a_broken_bus(driver: Driver, device: Any) -> None:
    """At whichever call."""
    device.broken = True
    assert driver.init(TIME_LIMIT) == Status.BUS_FAULT
    device.broken = False
    assert driver.init(TIME_LIMIT) == Status.OK
    device.broken = True
    for call in (
        lambda: driver.set_noise(0),
        lambda: driver.load_table(0, [0, 0], 1),
        lambda: driver.start(1, IMAGES, RESULTS),
        driver.finish,
        lambda: driver.run(1, IMAGES, RESULTS),
        lambda: driver.digest(0)[0],
        lambda: driver.late(0)[0],
    ):
        assert call() == Status.BUS_FAULT


def tells_of_settings_that_came_late(driver: Driver, device: Any) -> None:
    """Once, of that tap alone; a reset forgets them."""
    assert driver.init(TIME_LIMIT) == Status.OK
    assert driver.late(0) == (Status.OK, 0)
    device.settings_come_late(1)
    assert driver.late(0) == (Status.OK, 0)
    assert driver.late(1) == (Status.OK, 1)
    assert driver.late(1) == (Status.OK, 0)
    device.settings_come_late(0)
    assert driver.init(TIME_LIMIT) == Status.OK
    assert driver.late(0) == (Status.OK, 0)
    assert driver.late(device.taps)[0] == Status.NO_SUCH_TAP


SCENARIOS: tuple[Scenario, ...] = (
    recognises_the_device,
    runs_images,
    sets_noise,
    loads_a_table,
    refuses_what_it_cannot_do,
    gives_up_a_device_that_is_busy_for_ever,
    gives_up_a_tap_that_takes_nothing,
    tells_of_settings_that_came_late,
)
BREAKDOWNS: tuple[Scenario, ...] = (knows_what_is_not_its_device, tells_of_a_broken_bus)


def main() -> None:
    """Run them on the model."""
    library = Library(Path(sys.argv[1]))
    if "overrun" in sys.argv[2:]:
        driver = Driver(library, RegisterModel())
        driver.init(TIME_LIMIT)
        driver.load_table(0, [0] * 200, 4096)
    for scenario in (*SCENARIOS, *BREAKDOWNS):
        device = RegisterModel()
        scenario(Driver(library, device), device)


if __name__ == "__main__":
    main()
