"""The soundness rule for libraries: nothing that a function reaches through one leads to a module, to shared state, or to names
looked up from data."""

from __future__ import annotations

import copy
import sys
import textwrap
import types
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import test_reachable as reachable
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import modules
from sandbox.compiler import LibrariesNeeded, compile_source, execute
from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Load = Callable[..., dict[str, Any]]
    Refused = Callable[[str], Any]

SAMPLES = """
import jwt, phonenumbers, pydash, whenever, xmltodict
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives import hashes, hmac, padding as pads, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes, aead
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
def failed(f, *args, **options):
    try: f(*args, **options)
    except Exception as error: return error
key, point, edward = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
cipher = Cipher(algorithms.AES(b"k" * 32), modes.GCM(b"n" * 12))
box = Fernet(Fernet.generate_key())
shared = jwt.PyJWK({"kty": "oct", "k": "a2s", "alg": "HS256"})
number = phonenumbers.parse("+16502530000")
when = whenever.Instant.now()
made = [key, key.public_key(), key.private_numbers(), key.public_key().public_numbers(), point, point.public_key(),
    point.private_numbers(), point.public_key().public_numbers(), edward, edward.public_key(), x25519.X25519PrivateKey.generate(),
    cipher, cipher.encryptor(), cipher.decryptor(), algorithms.AES(b"k" * 32), algorithms.ChaCha20(b"k" * 32, b"n" * 16),
    modes.CBC(b"i" * 16), modes.ECB(), aead.AESGCM(b"k" * 32), aead.ChaCha20Poly1305(b"k" * 32), box, MultiFernet([box]),
    hashes.SHA256(), hashes.Hash(hashes.SHA256()), hashes.BLAKE2b(64), hmac.HMAC(b"k", hashes.SHA256()), pads.PKCS7(128).padder(), pads.PKCS7(128),
    padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH), padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
    padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()), ec.ECDSA(hashes.SHA256()), ec.ECDH(), HKDF(hashes.SHA256(), 32, None, b""),
    PBKDF2HMAC(hashes.SHA256(), 32, b"s", 1), Scrypt(b"s", 32, 2, 8, 1), serialization.NoEncryption(), serialization.BestAvailableEncryption(b"p"),
    serialization.Encoding.PEM, failed(box.decrypt, b"x"), failed(aead.AESGCM(b"k" * 32).decrypt, b"n" * 12, b"x" * 16, None),
    failed(serialization.load_pem_private_key, b"x", None), failed(edward.public_key().verify, b"x" * 64, b"x"),
    shared, jwt.PyJWKSet([{"kty": "oct", "k": "a2s", "alg": "HS256"}]), failed(jwt.decode, "x", "k", algorithms=["HS256"]),
    failed(jwt.decode, jwt.encode({}, "k" * 32), "k" * 32, algorithms=["HS256"], options={"require": ["a"]}), failed(jwt.PyJWKSet, []),
    number, phonenumbers.PhoneNumberMatcher("650-253-0000", "US"), list(phonenumbers.PhoneNumberMatcher("650-253-0000", "US")),
    failed(phonenumbers.parse, "x"), phonenumbers.region_codes_for_country_code(1), phonenumbers.example_number("US"),
    when, when.to_tz("Europe/Paris"), when.to_tz("Europe/Paris").to_stdlib(), when.to_fixed_offset(1), whenever.Date(2024, 1, 1), whenever.Time(1),
    whenever.PlainDateTime(2024, 1, 1), whenever.YearMonth(2024, 1), whenever.MonthDay(1, 1), whenever.IsoWeekDate(2024, 1, whenever.MONDAY),
    whenever.TimeDelta(hours=1), whenever.ItemizedDelta(days=1), whenever.ItemizedDateDelta(days=1), failed(when.to_tz, "x"), whenever.MONDAY,
    xmltodict.parse("<a/>"), failed(xmltodict.parse, "<a"), failed(xmltodict.parse, '<!DOCTYPE a [<!ENTITY x "x">]><a/>'),
    pydash.chain([1]), pydash.chain([1]).map_, pydash.py_, pydash.py_.map_, pydash.partial(max, 1), pydash.curry(lambda a, b: a), pydash.flow(len), pydash.once(len),
    pydash.memoize(len), pydash.property_("a"), pydash.iteratee("a"), pydash.iteratee(None), pydash.range_(1), pydash.negate(len), pydash.juxtapose(len),
    failed(pydash.set_, len, "a", 1), pydash.constant(1), pydash.to_path("a.b"), pydash.conforms({}), pydash.rearg(len, 0), pydash.spread(len)]
"""


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> Iterator[None]:
    """All libraries, in this process, and forgotten afterwards: other tests are about workers that haven't them."""
    modules.preload(LIBRARIES, loads_libraries=True)
    yield
    for name in modules._LIBRARIES:
        modules._VIEWS.pop(name, None)
    modules._LIBRARIES.clear()
    modules._ALLOWED.clear()


@pytest.fixture(scope="module")
def found(_loaded: None) -> Iterator[list[tuple[str, object]]]:
    importer = modules.importer(reachable.SCOPE)
    roots: list[tuple[str, object]] = [(name, importer(name, fromlist=("x",))) for name in modules._LIBRARIES]
    module = execute(compile_source(SAMPLES, "function.py"), scope=reachable.SCOPE)
    roots += [(f"sample {type(item).__name__}", item) for item in module["made"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield reachable.walk(roots)


def test_the_walk_through_libraries_goes_far(found: list[tuple[str, object]]) -> None:
    assert len(found) > 1_500


def test_no_module_file_or_code_is_reachable_through_a_library(found: list[tuple[str, object]]) -> None:
    assert reachable.insides(found) == []


def test_nothing_that_reads_names_from_data_is_reachable_through_a_library(
    found: list[tuple[str, object]],
) -> None:
    assert reachable.readers_among(found) == []


def test_every_class_reachable_through_a_library_is_offered(found: list[tuple[str, object]]) -> None:
    assert reachable.unoffered_classes(found) == []


def test_no_dict_list_or_set_of_a_library_is_reachable(found: list[tuple[str, object]]) -> None:
    assert reachable.shared(found) == set()


def test_no_class_of_a_library_can_be_inherited_from_but_errors_and_values(load: Load) -> None:
    classes = [
        f"{module}.{name}"
        for module in modules._LIBRARIES
        for name in modules.visible_names(module)
        if isinstance(kind := getattr(modules._view(module), name), type)
        and not issubclass(kind, BaseException)
    ]
    assert len(classes) > 60
    open_to_all = {"jwt.PyJWK", "jwt.PyJWKSet"}
    for name in set(classes) - open_to_all:
        with pytest.raises((TypeError, AttributeError), match=r"inherit|base type|extend|member|subclass"):
            load(f"import {name.rpartition('.')[0]}\nclass X({name}): pass\n")


# --- pydash


def test_pydash_holds_none_of_the_functions_that_were_replaced() -> None:
    from sandbox.facades.libraries.pydash import _REPLACED

    kept = [
        f"{name}.{attribute}"
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "pydash"
        for attribute, value in vars(module).items()
        if isinstance(value, types.FunctionType) and value in _REPLACED
    ]
    assert kept == []


def test_paths_of_pydash_lead_through_items_alone(load: Load) -> None:
    module = load(
        """
        import json, pydash, collections
        class Own:
            name = "attribute"
        Point = collections.namedtuple("Point", "x y")
        def main():
            counts = collections.defaultdict(int)
            return [
                pydash.get(Own(), "name", "no"), pydash.get(json, "dumps", "no"), pydash.get(main, "__globals__", "no"),
                pydash.get([Own], "0.name", "no"), pydash.get(Point(1, 2), "y"), pydash.get({"a": [{"1": 2}]}, "a.0.1"),
                pydash.map_([Own()], "name"), pydash.keys(Own()), pydash.to_dict(Own), pydash.has(Own(), "name"),
                pydash.get(counts, "a", "no"), dict(counts), pydash.filter_([Own()], {"name": "attribute"}),
            ]
        """
    )
    no_items = ["no", "no", "no", "no", 2, 2, [None], [], {}, False, "no", {}, []]
    assert module["main"]() == no_items


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["a", "b", "0", "1", 0, 1, -1])


@settings(deadline=None)
@given(value=JSON, key=KEYS, new=JSON)
def test_of_json_paths_of_pydash_mean_what_they_do_elsewhere(value: Any, key: Any, new: Any) -> None:
    from sandbox.facades.libraries.pydash import _REPLACED

    original = {function.__name__: function for function in _REPLACED}
    replaced = {function.__name__: ours for function, ours in _REPLACED.items()}
    assert replaced["base_get"](value, key, "no") == original["base_get"](value, key, "no")
    if isinstance(value, list | dict):
        assert list(replaced["iterator"](value)) == list(original["iterator"](value))
        changed, expected = copy.deepcopy(value), copy.deepcopy(value)
        try:
            original["base_set"](expected, key, new)
        except (TypeError, ValueError, IndexError) as error:
            with pytest.raises(type(error)):
                replaced["base_set"](changed, key, new)
        else:
            replaced["base_set"](changed, key, new)
            assert changed == expected


def test_pydash_sets_nothing_but_items_of_dicts_and_lists(load: Load) -> None:
    module = load(
        """
        import json, pydash
        class Own: pass
        def main(target): return pydash.set_(target, "name", 1)
        def targets(): return [json, json.JSONEncoder, Own, Own(), len, main]
        """
    )
    for target in module["targets"]():
        with pytest.raises(TypeError, match="dicts and lists"):
            module["main"](target)


def test_an_authors_equality_is_never_asked_about_what_pydash_knows(load: Load) -> None:
    module = load(
        """
        import pydash
        asked = []
        class Trap:
            def __hash__(self): return hash(len)
            def __eq__(self, other): asked.append(other)
            def __call__(self, value): return value
        def main(): return pydash.map_([1], Trap()), asked
        """
    )
    assert module["main"]() == ([1], [])


def test_a_chain_answers_as_the_functions_do_and_to_no_other_name(load: Load) -> None:
    module = load(
        """
        from pydash import _, py_, chain
        def main():
            return _.chain([1, 2, 3]).filter(lambda x: x > 1).map_(lambda x: x * 2).value(), py_({"a": 1}).get("a").value(), _.get({"b": 2}, "b")
        def invoke(): return chain(1).invoke("x")
        """
    )
    assert module["main"]() == ([4, 6], 1, 2)
    with pytest.raises(AttributeError, match=r"pydash\.invoke is not available"):
        module["invoke"]()


# --- What is said of what isn't there


def test_a_name_that_is_left_out_says_what_to_use(refused: Refused) -> None:
    cases = {
        "from jwt import PyJWKClient": "PyJWKSet.from_dict",
        "from pydash import invoke": "x.method()",
        "import cryptography.x509": "serialization",
        "import phonenumbers.geocoder": "region_code_for_number",
        "from whenever import SYSTEM_TZ": "name the zone",
        "import lodash": "pydash",
        "import moment": "whenever",
    }
    for source, remedy in cases.items():
        (diagnostic,) = refused(f"{source}\n")
        assert (diagnostic.rule, remedy in diagnostic.remedy) == ("refused-import", True), diagnostic


def test_a_worker_without_libraries_says_which_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "_LIBRARIES", {})
    source = textwrap.dedent(
        """
        import json, jwt
        from cryptography.hazmat.primitives import hashes
        try:
            import pydash
        except ImportError:
            pydash = None
        import os
        def on_track(event): return jwt.encode({}, hashes.SHA256)
        """
    )
    with pytest.raises(LibrariesNeeded) as needed:
        compile_source(source, "function.py", finds_libraries=True)
    assert needed.value.names == {"jwt", "cryptography", "pydash"}


def test_options_that_would_hand_in_a_parser_or_take_one_out_are_refused(load: Load) -> None:
    module = load(
        """
        import xmltodict
        def main(**options): return xmltodict.parse("<a/>", **options)
        """
    )
    for option in ("expat", "disable_entities"):
        with pytest.raises(TypeError, match="no option"):
            module["main"](**{option: None})
