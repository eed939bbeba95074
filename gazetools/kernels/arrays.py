"""What arrays the kernels take, for the type checker."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Labels = NDArray[np.int8]
Flags = NDArray[np.bool_]
Vector = Floats | tuple[float, float, float]
"""x, y and z; numba takes either."""
Bytes = NDArray[np.uint8]
Codes = NDArray[np.int16]
Words = NDArray[np.uint64]
