"""Sealing and opening of secrets: AES-GCM, each value bound to the destination and the setting it belongs to.

    sealed = key id (8 bytes) | nonce (12) | ciphertext and tag

The key id (the start of the key's SHA-256) says which key opens it, so that keys can change while both are in use: a
new key is added in front of the old ones, everything is sealed anew, then the old ones are dropped. A crash between
these steps leaves keys that aren't needed, never a value without its key.

Keys come from the environment (`ENGINE_SECRET_KEYS`) or a file of mode 0600, which is made on the first start. Both
hold one key a line (or comma), base64 of 32 bytes; the first seals.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import ConfigurationError, Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
KEYS_MAX: Final = 16
ENVIRONMENT_NAME: Final = "ENGINE_SECRET_KEYS"
_FILE_BYTES_MAX: Final = 4_096


class Keyring:
    """Owner of the keys. Its methods are cheap enough (about 1 µs) for the event loop."""

    def __init__(self, keys: Sequence[bytes], *, path: Path | None) -> None:
        """`keys`: the first seals, all open. `path` is their file, or None if they came from the environment."""
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._keys = list(keys)
        self.path = path
        self.is_new = False
        """The file was made by this process: it should be backed up."""

    @classmethod
    def load(
        cls, path: Path, environment: str = "", *, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> Self:
        """From `environment` (the variable's value) if it isn't empty, else from the file, which is made if it is missing.

        Raises `ConfigurationError` for keys that can't be read, or a file that others may read.
        """
        if environment.strip():
            return cls(_parse(environment, ENVIRONMENT_NAME), path=None)
        try:
            text = _read_private(path)
        except FileNotFoundError:
            keys = [random_bytes(KEY_BYTES)]
            _write_private(path, keys)
            ring = cls(keys, path=path)
            ring.is_new = True
            return ring
        except OSError as error:
            raise ConfigurationError(
                f"the key file {path} can't be read: {error.strerror}", remedy="let the daemon's user read it"
            ) from None
        return cls(_parse(text, str(path)), path=path)

    @property
    def current_id(self) -> str:
        """The key that seals, in hex: safe to show."""
        return next(iter(self._ciphers)).hex()

    @property
    def ids(self) -> list[str]:
        """All keys that open, the sealing one first."""
        return [name.hex() for name in self._ciphers]

    def seal(self, destination_id: int, name: str, value: bytes) -> bytes:
        """`value` under the current key, bound to destination and setting."""
        current, cipher = next(iter(self._ciphers.items()))
        nonce = os.urandom(NONCE_BYTES)
        return current + nonce + cipher.encrypt(nonce, value, _bound_to(current, destination_id, name))

    def open(self, destination_id: int, name: str, sealed: bytes) -> bytes:
        """What was sealed for this destination and setting. Raises `ConfigurationError`; it never shows the value."""
        key, nonce = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise ConfigurationError(
                f"the secret {name!r} was sealed under the key {key.hex()}, which is not in {self._where}",
                remedy=f"put that key back, as one more line of {self._where}; a lost key can't be replaced: then set the value again",
            )
        try:
            return cipher.decrypt(
                nonce, sealed[KEY_ID_BYTES + NONCE_BYTES :], _bound_to(key, destination_id, name)
            )
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"the secret {name!r} was changed after it was sealed, or belongs elsewhere",
                remedy="set the value again, and find out who wrote to the registry's file",
            ) from None

    def needs_resealing(self, sealed: bytes) -> bool:
        """It is sealed under another key than the current one."""
        return sealed[:KEY_ID_BYTES] != next(iter(self._ciphers))

    def add_key(self, *, random_bytes: Callable[[int], bytes] = os.urandom) -> str:
        """Make a key, durable before it is used; from now on it seals, and the others still open. Its id.

        Raises `Conflict` if the keys come from the environment, which this process can't change.
        """
        if self.path is None:
            raise Conflict(
                f"the keys come from {ENVIRONMENT_NAME}, which the daemon can't change",
                remedy="put a new key in front of the old one there (NEW,OLD) and restart: everything is sealed anew at the start",
            )
        keys = [random_bytes(KEY_BYTES), *self._keys]
        _write_private(self.path, keys)
        self._set(keys)
        return self.current_id

    def drop_old_keys(self) -> None:
        """Keep the current one alone: nothing is sealed under the others any more."""
        if self.path is not None and len(self._keys) > 1:
            _write_private(self.path, self._keys[:1])
            self._set(self._keys[:1])

    def _set(self, keys: list[bytes]) -> None:
        self._keys = keys
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}

    @property
    def _where(self) -> str:
        return ENVIRONMENT_NAME if self.path is None else str(self.path)


def key_id(key: bytes) -> bytes:
    """Names a key without telling it."""
    return hashlib.sha256(b"engine key id\0" + key).digest()[:KEY_ID_BYTES]


def _bound_to(key: bytes, destination_id: int, name: str) -> bytes:
    """What is authenticated beside the value: the same bytes elsewhere don't open."""
    return key + destination_id.to_bytes(8, "big") + name.encode("utf-8", "surrogatepass")


def _parse(text: str, where: str) -> list[bytes]:
    keys = []
    for word in text.replace(",", "\n").split():
        try:
            key = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"{where} holds something that is no key",
                remedy=f"a key is base64 of {KEY_BYTES} random bytes; restore the backup",
            )
        keys.append(key)
    if not 0 < len(keys) <= KEYS_MAX:
        raise ConfigurationError(
            f"{where} holds {len(keys)} keys; 1 to {KEYS_MAX} are allowed",
            remedy="restore the backup of the keys",
        )
    return keys


def _read_private(path: Path) -> str:
    """Raises `OSError`, or `ConfigurationError` if others may read it too."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mode = stat.S_IMODE(os.fstat(file).st_mode)
        if mode & 0o077:
            raise ConfigurationError(
                f"others may read the key file {path} (mode {mode:04o})",
                remedy=f"chmod 600 {path}, and rotate the key",
            )
        return os.read(file, _FILE_BYTES_MAX).decode("ascii", "replace")
    finally:
        os.close(file)


def _write_private(path: Path, keys: Sequence[bytes]) -> None:
    """All or nothing, and durable when it returns. Raises `ConfigurationError`."""
    text = "".join(base64.b64encode(key).decode() + "\n" for key in keys)
    temporary = ""
    try:
        file, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its mode is 0600
        with os.fdopen(file, "w", encoding="ascii") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # noqa: PTH105  the same names as above
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise ConfigurationError(
            f"the key file {path} can't be written: {error.strerror}",
            remedy="let the daemon's user write there",
        ) from None
