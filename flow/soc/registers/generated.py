"""Generated from hw/soc/registers.rdl by `python -m flow.soc.registers.description`."""

from flow.soc.registers.access import Block, Field, Register


class TapRegisters(Block):
    """Registers of one noise tap."""

    REGISTERS = {  # noqa: RUF012
        "SITE": Register(
            0x0,
            "r",
            None,
            (Field("value", 0, 8),),
        ),
        "SEED_LOW": Register(
            0x4,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "SEED_HIGH": Register(
            0x8,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "IMAGE_BASE": Register(
            0xC,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "SIGMA_ADD": Register(
            0x10,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "SIGMA_MUL": Register(
            0x14,
            "rw",
            0x0,
            (Field("value", 0, 24),),
        ),
        "CONTROL": Register(
            0x18,
            "rw",
            0x0,
            (
                Field("enable", 0, 1),
                Field("add_first", 1, 1),
                Field("pattern", 2, 1),
                Field("loaded", 3, 1),
                Field("repeats", 8, 6),
                Field("adc_bits", 16, 4),
                Field("adc_unsigned", 20, 1),
            ),
        ),
        "GAIN_RATE": Register(
            0x1C,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "SIGMA_RATE": Register(
            0x20,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "START": Register(
            0x24,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "STATUS": Register(
            0x28,
            "rw",
            None,
            (
                Field("pending", 0, 1),
                Field("late", 1, 1),
            ),
        ),
        "DIGEST": Register(
            0x2C,
            "r",
            0x0,
            (Field("value", 0, 32),),
        ),
        "TABLE_PLACE": Register(
            0x30,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "TABLE_LOW": Register(
            0x34,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "TABLE_HIGH": Register(
            0x38,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "ADC_STEP": Register(
            0x3C,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
    }


class NoiseRegisters(Block):
    """Registers of an accelerator with noise taps."""

    REGISTERS = {  # noqa: RUF012
        "IDENTIFICATION": Register(
            0x0,
            "r",
            0x4B4C574E,
            (Field("value", 0, 32),),
        ),
        "VERSION": Register(
            0x4,
            "r",
            0x10002,
            (
                Field("minor", 0, 16),
                Field("major", 16, 16),
            ),
        ),
        "TAPS": Register(
            0x8,
            "r",
            0x1,
            (Field("value", 0, 32),),
        ),
        "IMAGE_WORDS": Register(
            0xC,
            "r",
            0x1,
            (Field("value", 0, 32),),
        ),
        "CLASSES": Register(
            0x10,
            "r",
            0xA,
            (Field("value", 0, 32),),
        ),
        "CONTROL": Register(
            0x14,
            "w",
            0x0,
            (
                Field("start", 0, 1),
                Field("reset", 1, 1),
            ),
        ),
        "STATUS": Register(
            0x18,
            "r",
            None,
            (
                Field("busy", 0, 1),
                Field("resetting", 1, 1),
                Field("pending", 2, 1),
            ),
        ),
        "IRQ_ENABLE": Register(
            0x1C,
            "rw",
            0x0,
            (
                Field("done", 0, 1),
                Field("error", 1, 1),
            ),
        ),
        "IRQ_STATUS": Register(
            0x20,
            "rw",
            0x0,
            (
                Field("done", 0, 1),
                Field("error", 1, 1),
            ),
        ),
        "ERROR": Register(
            0x24,
            "r",
            0x0,
            (Field("cause", 0, 3),),
        ),
        "IMAGE_ADDRESS": Register(
            0x28,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "RESULT_ADDRESS": Register(
            0x2C,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "IMAGES": Register(
            0x30,
            "rw",
            0x0,
            (Field("value", 0, 32),),
        ),
        "IMAGES_IN": Register(
            0x34,
            "r",
            None,
            (Field("value", 0, 32),),
        ),
        "IMAGES_OUT": Register(
            0x38,
            "r",
            None,
            (Field("value", 0, 32),),
        ),
        "CYCLES": Register(
            0x3C,
            "r",
            None,
            (Field("value", 0, 32),),
        ),
        "LABEL": Register(
            0x40,
            "r",
            None,
            (Field("value", 0, 8),),
        ),
    }

    def tap(self, index: int) -> "TapRegisters":
        """Return the registers of a tap."""
        place = self.base + 0x100 + 0x40 * index
        return TapRegisters(self._read, self._write, place)
