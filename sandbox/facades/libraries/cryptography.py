"""`cryptography`: what functions sign, verify, encrypt and derive with. No certificates, and nothing of its backend.

Classes are sealed: what is passed to OpenSSL is one of the library's own, with a key as long as it says.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any, Final

import cryptography.hazmat.backends.openssl.backend  # noqa: F401  what the library imports when it is first needed
from cryptography import fernet

from sandbox.facades.sealed import sealed, sealed_all
from sandbox.whitelist import Entry

_PRIMITIVES: Final = "cryptography.hazmat.primitives"
_NAMES: Final = {
    "cryptography.exceptions": "InvalidSignature InvalidTag InvalidKey UnsupportedAlgorithm AlreadyFinalized NotYetFinalized",
    "cryptography.fernet": "Fernet MultiFernet InvalidToken",
    f"{_PRIMITIVES}.hashes": (
        "Hash SHA1 SHA224 SHA256 SHA384 SHA512 SHA3_256 SHA3_384 SHA3_512 BLAKE2b BLAKE2s MD5"
    ),
    f"{_PRIMITIVES}.hmac": "HMAC",
    f"{_PRIMITIVES}.constant_time": "bytes_eq",
    f"{_PRIMITIVES}.padding": "PKCS7",
    f"{_PRIMITIVES}.serialization": (
        "load_pem_private_key load_pem_public_key load_der_private_key load_der_public_key load_ssh_private_key"
        " load_ssh_public_key Encoding PrivateFormat PublicFormat NoEncryption BestAvailableEncryption"
    ),
    f"{_PRIMITIVES}.asymmetric.padding": "PKCS1v15 PSS OAEP MGF1",
    f"{_PRIMITIVES}.asymmetric.rsa": (
        "RSAPrivateKey RSAPublicKey RSAPublicNumbers RSAPrivateNumbers generate_private_key"
    ),
    f"{_PRIMITIVES}.asymmetric.ec": (
        "ECDSA ECDH SECP256R1 SECP384R1 SECP521R1 SECP256K1 EllipticCurvePrivateKey EllipticCurvePublicKey"
        " EllipticCurvePublicNumbers generate_private_key derive_private_key"
    ),
    f"{_PRIMITIVES}.asymmetric.ed25519": "Ed25519PrivateKey Ed25519PublicKey",
    f"{_PRIMITIVES}.asymmetric.x25519": "X25519PrivateKey X25519PublicKey",
    f"{_PRIMITIVES}.asymmetric.utils": "Prehashed encode_dss_signature decode_dss_signature",
    f"{_PRIMITIVES}.ciphers": "Cipher",
    f"{_PRIMITIVES}.ciphers.algorithms": "AES AES128 AES256 ChaCha20",
    f"{_PRIMITIVES}.ciphers.modes": "CBC CTR GCM ECB",
    f"{_PRIMITIVES}.ciphers.aead": "AESGCM AESGCMSIV AESSIV AESCCM ChaCha20Poly1305",
    f"{_PRIMITIVES}.kdf.hkdf": "HKDF HKDFExpand",
    f"{_PRIMITIVES}.kdf.pbkdf2": "PBKDF2HMAC",
    f"{_PRIMITIVES}.kdf.scrypt": "Scrypt",
}
_STATICS: Final = {
    "Fernet": "generate_key",
    "Encoding": "PEM DER OpenSSH Raw X962",
    "PrivateFormat": "TraditionalOpenSSL PKCS8 Raw OpenSSH",
    "PublicFormat": "SubjectPublicKeyInfo PKCS1 OpenSSH Raw CompressedPoint UncompressedPoint",
    "PSS": "MAX_LENGTH AUTO DIGEST_LENGTH",
    "EllipticCurvePublicKey": "from_encoded_point",
    "Ed25519PrivateKey": "generate from_private_bytes",
    "Ed25519PublicKey": "from_public_bytes",
    "X25519PrivateKey": "generate from_private_bytes",
    "X25519PublicKey": "from_public_bytes",
    **dict.fromkeys(("AESGCM", "AESGCMSIV", "AESSIV", "AESCCM"), "generate_key"),
    "ChaCha20Poly1305": "generate_key",
}
"""Class → what is asked of the class itself."""
_REASONS: Final = {
    "cryptography.fernet": "texts encrypted and signed under one key",
    f"{_PRIMITIVES}.serialization": "keys read from PEM, and written; no file is opened",
    f"{_PRIMITIVES}.ciphers.aead": "AES-GCM and the like",
}


def _entry(name: str, names: str) -> Entry:
    module = importlib.import_module(name)
    picked = sealed_all(module, names)
    for each in picked.keys() & _STATICS.keys():
        picked[each] = sealed(getattr(module, each), _STATICS[each])
    return Entry(names, _REASONS.get(name, "cryptography's own, classes sealed"), picked, is_ours=True)


def default_backend() -> None:
    """`default_backend()`: there is one, and nothing to choose."""


def pin(now_ms: int) -> None:
    """In a function's own tests: Fernet tokens are made, and expire, by this time."""
    vars(fernet)["time"] = SimpleNamespace(time=lambda: now_ms / 1000)


_BACKEND: Final[dict[str, Any]] = {"default_backend": default_backend}
MODULES: Final = {
    **{name: _entry(name, names) for name, names in _NAMES.items()},
    "cryptography.hazmat.backends": Entry(
        "default_backend", "for code that still passes one", _BACKEND, is_ours=True
    ),
}
"""What is visible of it."""
