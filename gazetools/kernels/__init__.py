"""Every compiled loop of the project: arrays in, arrays out, numpy and numba only.

``fastmath`` is never used: missing gaze is NaN, and fast mathematics assumes there is none.

Compiled loops are kept on disk beside their source or in the user's cache. Where neither can be
written (an installation of others, no home), numba would fail; they then last for one process.
"""

import atexit
import shutil
import tempfile

from numba import config, njit

try:

    @njit(cache=True)
    def _probe() -> None:
        """Do nothing; numba looks for a place to keep it."""

except RuntimeError:
    _folder = tempfile.mkdtemp(prefix="gazetools-")
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
    vars(config)["CACHE_DIR"] = _folder
