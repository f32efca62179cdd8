"""`jwt` (PyJWT): tokens made and read. No algorithm is registered, and no key set is fetched: `fetch` does that.

Options and headers are copied before the library sees them; its own tables of defaults and algorithms stay out of reach.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import jwt as library
from jwt import api_jws, api_jwt, exceptions

from sandbox.facades import pinned
from sandbox.whitelist import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping


class PyJWK:
    """`jwt.PyJWK`: a key as JSON has it. Raises `PyJWKError`, `InvalidKeyError`."""

    __slots__ = ("_real",)

    def __init__(self, jwk_data: Mapping[str, Any], algorithm: str | None = None) -> None:
        self._real = library.PyJWK(dict(jwk_data), algorithm)

    @staticmethod
    def from_dict(obj: Mapping[str, Any], algorithm: str | None = None) -> PyJWK:
        """Of a map, as a key set holds it."""
        return PyJWK(obj, algorithm)

    @staticmethod
    def from_json(data: str, algorithm: str | None = None) -> PyJWK:
        """Of a text."""
        return PyJWK(json.loads(data), algorithm)

    @property
    def key(self) -> Any:
        """What `cryptography` makes of it; bytes of a shared secret."""
        return self._real.key

    @property
    def key_type(self) -> str | None:
        """`kty`."""
        return self._real.key_type

    @property
    def key_id(self) -> str | None:
        """`kid`."""
        return self._real.key_id

    @property
    def public_key_use(self) -> str | None:
        """`use`."""
        return self._real.public_key_use

    @property
    def algorithm_name(self) -> str:
        """`alg`."""
        return self._real.algorithm_name


class PyJWKSet:
    """`jwt.PyJWKSet`: keys that an issuer publishes. Those that can't be used are left out. Raises `PyJWKSetError`."""

    __slots__ = ("_keys",)

    def __init__(self, keys: list[dict[str, Any]]) -> None:
        usable = []
        for item in keys:
            try:
                usable.append(PyJWK(item))
            except library.PyJWTError:  # an issuer may publish kinds of keys that nobody here knows
                continue
        if not usable:
            raise library.PyJWKSetError("The JWK Set did not contain any usable keys")
        self._keys = tuple(usable)

    @staticmethod
    def from_dict(obj: Mapping[str, Any]) -> PyJWKSet:
        """Of a map, as an issuer's address answers."""
        return PyJWKSet(list(obj.get("keys", [])))

    @staticmethod
    def from_json(data: str) -> PyJWKSet:
        """Of a text."""
        return PyJWKSet.from_dict(json.loads(data))

    @property
    def keys(self) -> list[PyJWK]:
        """All."""
        return list(self._keys)

    def __getitem__(self, kid: str) -> PyJWK:
        for key in self._keys:
            if key.key_id == kid:
                return key
        raise KeyError(f"keyset has no key for kid: {kid}")


def _real_key(key: Any) -> Any:
    return key._real if isinstance(key, PyJWK) else key  # noqa: SLF001  of this module


def encode(
    payload: dict[str, Any],
    key: Any,
    algorithm: str | None = "HS256",
    headers: Mapping[str, Any] | None = None,
    *,
    json_encoder: Any = None,
    sort_headers: bool = True,
) -> str:
    """`jwt.encode`."""
    if not isinstance(payload, dict):
        raise TypeError("the claims of a token are a dict")
    if isinstance(key, PyJWK) and algorithm == "HS256":
        algorithm = key.algorithm_name
    return library.encode(
        dict(payload),
        _real_key(key),
        algorithm,
        None if headers is None else dict(headers),
        json_encoder,
        sort_headers=bool(sort_headers),
    )


def decode_complete(
    jwt: str | bytes,
    key: Any = "",
    algorithms: Any = None,
    options: Mapping[str, Any] | None = None,
    *,
    detached_payload: bytes | None = None,
    audience: Any = None,
    issuer: Any = None,
    subject: str | None = None,
    leeway: Any = 0,
) -> dict[str, Any]:
    """`jwt.decode_complete`: header, payload and signature."""
    return api_jwt.decode_complete(
        jwt,
        _real_key(key),
        None if algorithms is None else [str.__str__(name) for name in algorithms],
        None if options is None else _options(options),
        detached_payload=detached_payload,
        audience=audience,
        issuer=issuer,
        subject=subject,
        leeway=leeway,
    )


def _options(options: Mapping[str, Any]) -> Any:
    return {
        str.__str__(name): list(value) if name == "require" else bool(value)
        for name, value in dict(options).items()
    }


def decode(
    jwt: str | bytes,
    key: Any = "",
    algorithms: Any = None,
    options: Mapping[str, Any] | None = None,
    **checks: Any,
) -> dict[str, Any]:
    """`jwt.decode`: the claims. `checks` are those of `decode_complete`."""
    claims: dict[str, Any] = decode_complete(jwt, key, algorithms, options, **checks)["payload"]
    return claims


def get_unverified_header(jwt: str | bytes) -> dict[str, Any]:
    """`jwt.get_unverified_header`."""
    return api_jws.get_unverified_header(jwt)


def pin(now_ms: int) -> None:
    """In a function's own tests: tokens expire by this time."""
    vars(api_jwt)["datetime"] = pinned.time_names(now_ms)["datetime"]["datetime"]


_ERRORS: Final = (
    "PyJWTError InvalidTokenError DecodeError InvalidSignatureError ExpiredSignatureError InvalidAudienceError"
    " InvalidIssuerError InvalidIssuedAtError ImmatureSignatureError InvalidKeyError InvalidAlgorithmError"
    " MissingRequiredClaimError PyJWKError PyJWKSetError"
)
_FURTHER_ERRORS: Final = "MissingCryptographyError InvalidSubjectError InvalidJTIError"
_OURS: Final[dict[str, Any]] = {
    "encode": encode,
    "decode": decode,
    "decode_complete": decode_complete,
    "get_unverified_header": get_unverified_header,
    "PyJWK": PyJWK,
    "PyJWKSet": PyJWKSet,
}

MODULES: Final = {
    "jwt": Entry(
        f"{' '.join(_OURS)} {_ERRORS}",
        "tokens; PyJWKClient is left out: fetch the key set, and give it to PyJWKSet.from_dict",
        {**_OURS, **{name: getattr(exceptions, name) for name in _ERRORS.split()}},
        is_ours=True,
    ),
    "jwt.exceptions": Entry(
        f"{_ERRORS} {_FURTHER_ERRORS}",
        "errors of jwt",
        {name: getattr(exceptions, name) for name in f"{_ERRORS} {_FURTHER_ERRORS}".split()},
        is_ours=True,
    ),
}
"""What is visible of it."""
