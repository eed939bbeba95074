"""The key of pseudonyms: a file that is made once and kept apart."""

import os
import re
import secrets
from pathlib import Path

from gazetools.errors import ConfigError, OutputError
from gazetools.files import locked, replacing

KEY_NAME = "deidentify.key"
"""In the working folder, if the user names no other file."""

_HEAD = """\
# Key of the pseudonyms that `gazetools ingest --deidentify` writes. Who has it finds out who is
# who by trying names. Keep it apart from the tables, do not share it, and do not lose it: without
# it a participant who comes again gets another pseudonym. To make pseudonyms final, destroy it.
"""
_MOST_BYTES = 4096


def ensure_key(path: Path) -> bool:
    """Make a key that only its owner may read, unless there is one; tell whether it was made.

    Raises
    ------
    ConfigError
        There is a file that holds no key.
    OutputError
        It cannot be written, or somebody else makes it now.
    """
    if path.exists():
        read_key(path)
        return False
    if not path.parent.is_dir():
        raise OutputError(f"{path}: folder {path.parent} does not exist; create it first")
    with locked(path):
        if path.exists():  # somebody was faster
            return ensure_key(path)
        with replacing(path) as temporary:
            # others must not be able to read it even for a moment
            only_owner = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(only_owner, "w", encoding="utf-8") as file:
                file.write(f"{_HEAD}{secrets.token_hex(32)}\n")
    return True


def read_key(path: Path) -> bytes:
    """Read a key of 32 bytes.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds no key; its content is not quoted.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{path}: the key cannot be read ({error.strerror or error}); name another file"
        ) from error
    lines = [line.strip() for line in text.splitlines() if not line.startswith("#")]
    if len(lines) != 1 or not re.fullmatch(r"[0-9a-fA-F]{64}", lines[0]):
        raise ConfigError(
            f"{path}: holds no key, expected one line of 64 hexadecimal digits; name the key that "
            "gazetools made, or a new file for a new key"
        )
    return bytes.fromhex(lines[0])
