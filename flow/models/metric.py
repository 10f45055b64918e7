"""A user's metric: a function that scores a network's outputs, image by image.

``function(outputs, targets)`` takes two tensors of as many images, on the processor: what the
network returns, float32 [n, …], and what the images' file has as ``y``, [n, …], or without ``y``
the images as the network takes them, float32 [n, …]. It returns a number from 0 to 1 for each
image, [n], larger is better. A walk measures their mean over the images.
"""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow import user_code
from flow.data.reference import TAKEN
from flow.errors import UserError
from flow.noise.origin import shortened
from flow.numerics import file_digest


@dataclass(frozen=True)
class Metric:
    """A function of a user's file."""

    file: str
    """``file.py:function``, below the working directory if it is there."""
    code: str
    """Hash of the file's code."""
    function: Callable[[Tensor, Tensor], Any]
    floor: float = 0.0
    """Value of outputs that do not depend on the images, 0 to 1."""

    @classmethod
    def made(cls, given: str | Callable[[Tensor, Tensor], Any], floor: float = 0.0) -> Self:
        """Return the metric of a function or of its name; arguments and errors as of `load`."""
        return cls.load(given, floor) if isinstance(given, str) else cls.of(given, floor)

    @classmethod
    def load(cls, source: str, floor: float = 0.0) -> Self:
        """Run a file, and return the metric in it.

        Args:
            source: ``path/to/file.py:function``.
            floor: value of outputs that do not depend on the images.

        Raises:
            UserError: there is no such file or function, or the file fails.
        """
        if not user_code.is_user_code(source):
            raise UserError(f"{source} names no function: write it as file.py:function")
        function = user_code.function(source)
        path, name = user_code.split(source)
        if name in TAKEN:
            raise UserError(f"{source}: results have a column {name} already: rename the function")
        return cls(f"{shortened(path)}:{name}", file_digest(path), function, floor)

    @classmethod
    def of(cls, function: Callable[[Tensor, Tensor], Any], floor: float = 0.0) -> Self:
        """Return the metric of a function that Python holds; arguments and errors as of `load`."""
        name = getattr(function, "__name__", "")
        if not name.isidentifier() or name in TAKEN:
            raise UserError(
                f"the metric is called {name or type(function).__name__}: give a function with "
                "another name, which results can have as a column"
            )
        try:
            path, text = inspect.getfile(function), inspect.getsource(function)
        except (OSError, TypeError):
            path, text = "", str(getattr(function, "__code__", function))
        file = f"{shortened(Path(path))}:{name}" if path else name
        return cls(file, hashlib.sha256(text.encode()).hexdigest()[:16], function, floor)

    @property
    def name(self) -> str:
        """Name of the function, and of the measure in results."""
        return self.file.rpartition(":")[2]

    def __call__(self, outputs: Tensor, targets: Tensor) -> npt.NDArray[np.float32]:
        """Return the value of each image, float32 [n].

        Raises:
            UserError: the function fails, or returns something else than a number from 0 to 1 for
                each image.
        """
        path, _ = user_code.split(self.file)
        try:
            found = torch.as_tensor(self.function(outputs, targets)).cpu().numpy()
        # it is the user's code
        except Exception as error:
            raise UserError(f"{self.file} fails: {user_code.place(error, path)}") from error
        if found.shape != outputs.shape[:1]:
            raise UserError(
                f"{self.file} returns {list(found.shape)} for {len(outputs)} images: it must "
                f"return one number for each, [{len(outputs)}]"
            )
        values = found.astype(np.float32)
        if not ((values >= 0) & (values <= 1)).all():
            wrong = values[~((values >= 0) & (values <= 1))][0]
            raise UserError(
                f"{self.file} returns {wrong:g} for an image: it must return numbers from 0 to 1, "
                "larger is better"
            )
        return values

    def to_json(self) -> dict[str, str]:
        """Return what results depend on."""
        return {"file": self.file, "code": self.code}
