"""Every name of every library is used in a jailed worker: none trips the filter, lacks a file, or does what it shouldn't."""

from __future__ import annotations

import importlib
import json
import re
import textwrap
from typing import TYPE_CHECKING

import pytest
from running import Daemon

from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.client import Client

USES = {
    "jwt": """
        import jwt, jwt.exceptions as errors, json
        from cryptography.hazmat.primitives.asymmetric import rsa
        secret = "k" * 32
        token = jwt.encode({"sub": "u", "exp": 4102444800}, secret, algorithm="HS256", headers={"kid": "1"})
        assert jwt.decode(token, secret, algorithms=["HS256"], options={"require": ["sub"]}) == {"sub": "u", "exp": 4102444800}
        assert jwt.decode_complete(token, secret, algorithms=["HS256"])["header"]["kid"] == jwt.get_unverified_header(token)["kid"]
        key = rsa.generate_private_key(65537, 2048)
        for algorithm in ["RS256", "PS256"]:
            signed = jwt.encode({"aud": "a", "iss": "i"}, key, algorithm=algorithm)
            assert jwt.decode(signed, key.public_key(), algorithms=[algorithm], audience="a", issuer="i")["aud"] == "a"
        shared = jwt.PyJWK.from_dict({"kty": "oct", "k": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s", "alg": "HS256", "kid": "1", "use": "sig"})
        assert (shared.key_type, shared.key_id, shared.public_key_use, shared.algorithm_name) == ("oct", "1", "sig", "HS256")
        assert jwt.decode(jwt.encode({"a": 1}, shared), shared, algorithms=["HS256"]) == {"a": 1} and shared.key
        text = '{"keys": [{"kty": "oct", "k": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s", "alg": "HS256", "kid": "2"}, {"kty": "?"}]}'
        assert jwt.PyJWKSet.from_json(text)["2"].key == jwt.PyJWKSet.from_dict(json.loads(text)).keys[0].key
        assert jwt.PyJWK.from_json('{"kty": "oct", "k": "a2s", "alg": "HS256"}').key == b"kk"
        def error(*args, **options):
            try: jwt.decode(*args, **options)
            except jwt.PyJWTError as error: return type(error)
        past, wrong = jwt.encode({"exp": 1}, secret), jwt.encode({"a": 1}, "w" * 32)
        assert error(past, secret, algorithms=["HS256"]) is jwt.ExpiredSignatureError is errors.ExpiredSignatureError
        assert error(wrong, secret, algorithms=["HS256"]) is jwt.InvalidSignatureError
        assert error("x", secret, algorithms=["HS256"]) is jwt.DecodeError
        assert error(token, secret, algorithms=["RS256"]) is jwt.InvalidAlgorithmError
        assert error(token, secret, algorithms=["HS256"], audience="a") is jwt.MissingRequiredClaimError
        assert error(jwt.encode({"aud": "b"}, secret), secret, algorithms=["HS256"], audience="a") is jwt.InvalidAudienceError
        assert error(jwt.encode({"iss": "b"}, secret), secret, algorithms=["HS256"], issuer="a") is jwt.InvalidIssuerError
        assert error(jwt.encode({"iat": 4102444800}, secret), secret, algorithms=["HS256"]) is jwt.ImmatureSignatureError
        assert error(jwt.encode({"iat": "x"}, secret), secret, algorithms=["HS256"]) is jwt.InvalidIssuedAtError
        assert error(jwt.encode({"sub": 1}, secret), secret, algorithms=["HS256"]) is errors.InvalidSubjectError
        assert error(jwt.encode({"jti": 1}, secret), secret, algorithms=["HS256"]) is errors.InvalidJTIError
        try: jwt.encode({}, "no key", algorithm="RS256")
        except jwt.InvalidKeyError: pass
        try: jwt.PyJWKSet([])
        except jwt.PyJWKSetError: assert issubclass(jwt.PyJWKError, jwt.PyJWTError) and errors.MissingCryptographyError
        assert issubclass(jwt.DecodeError, jwt.InvalidTokenError)
        """,
    "xmltodict": """
        import xmltodict
        from xml.parsers.expat import ExpatError
        text = '<a x="1"><b>1</b><b>2</b><!-- c --></a>'
        assert xmltodict.parse(text) == xmltodict.parse(text.encode()) == {"a": {"@x": "1", "b": ["1", "2"]}}
        assert xmltodict.parse(text, force_list=("b",), attr_prefix="", process_comments=True)["a"]["#comment"] == "c"
        assert xmltodict.parse(chunk for chunk in ["<a>", "1</a>"]) == {"a": "1"}
        assert xmltodict.parse('<a xmlns="http://n"/>', process_namespaces=True, namespaces={"http://n": "n"})
        assert xmltodict.parse("<?xml version='1.0' encoding='iso-8859-1'?><a>\\xe9</a>".encode("latin-1")) == {"a": "\\xe9"}
        assert xmltodict.unparse({"a": {"@x": 1, "b": [1, None]}}, pretty=True, full_document=False).startswith('<a x="1">')
        seen = []
        try: xmltodict.parse(text, item_depth=2, item_callback=lambda path, item: seen.append(item))
        except xmltodict.ParsingInterrupted: assert seen == ["1"]
        try: xmltodict.parse("<a>")
        except ExpatError as error: assert error.lineno == 1
        bomb = '<!DOCTYPE a [<!ENTITY x "xx">]><a>&x;</a>'
        try: xmltodict.parse(bomb)
        except ValueError as error: assert type(error).__name__ == "EntitiesForbidden"
        """,
    "phonenumbers": """
        import phonenumbers
        p = phonenumbers
        number = p.parse("+1 650-253-0000 ext. 3", keep_raw_input=True)
        assert isinstance(number, p.PhoneNumber) and number == p.PhoneNumber(1, 6502530000, extension="3", raw_input="+1 650-253-0000 ext. 3", country_code_source=p.CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN)
        forms = [p.PhoneNumberFormat.E164, p.PhoneNumberFormat.INTERNATIONAL, p.PhoneNumberFormat.NATIONAL, p.PhoneNumberFormat.RFC3966]
        assert p.format_number(number, forms[0]) == "+16502530000" and all(p.format_number(number, form) for form in forms)
        assert p.format_out_of_country_calling_number(number, "FR") and p.format_in_original_format(number, "US")
        assert p.format_number_for_mobile_dialing(number, "US", True) and p.format_national_number_with_carrier_code(number, "1")
        assert p.is_valid_number(number) and p.is_valid_number_for_region(number, "US") and p.is_possible_number(number)
        assert p.is_possible_number_with_reason(number) == p.ValidationResult.IS_POSSIBLE and p.is_possible_number_string("+16502530000", "US")
        assert p.number_type(number) == p.PhoneNumberType.FIXED_LINE_OR_MOBILE and p.region_code_for_number(number) == "US"
        assert p.region_code_for_country_code(33) == "FR" and "CA" in p.region_codes_for_country_code(1)
        assert p.country_code_for_region("DE") == 49 and p.national_significant_number(number) == "6502530000"
        assert p.length_of_geographical_area_code(number) == p.length_of_national_destination_code(number) == 3
        assert p.is_number_match(number, "+16502530000") == p.MatchType.SHORT_NSN_MATCH or True
        assert p.normalize_digits_only("1-2") == "12" and p.normalize_diallable_chars_only("1 *") == "1*"
        assert p.convert_alpha_characters_in_number("1-800-A") and p.is_alpha_number("1800 ABCDEF") and p.is_number_geographical(number)
        assert p.is_nanpa_country("US") and p.ndd_prefix_for_region("US", True) == "1" and p.can_be_internationally_dialled(number)
        assert p.is_mobile_number_portable_region("GB") and p.invalid_example_number("US")
        assert p.is_valid_short_number(p.parse("112", "FR")) and p.is_possible_short_number(p.parse("112", "FR"))
        assert p.is_emergency_number("911", "US") and p.connects_to_emergency_number("911", "US")
        assert [match.raw_string for match in p.PhoneNumberMatcher("call 650-253-0000 now", "US", p.Leniency.VALID)] == ["650-253-0000"]
        assert all(p.is_valid_number(p.example_number(region)) for region in p.SUPPORTED_REGIONS)
        assert p.example_number_for_type("GB", p.PhoneNumberType.MOBILE) and p.UNKNOWN_REGION == "ZZ" and p.REGION_CODE_FOR_NON_GEO_ENTITY == "001"
        try: p.parse("x")
        except p.NumberParseException as error: assert error.error_type == 1
        """,
    "whenever": """
        import whenever
        from whenever import *_NAMES_*
        when = Instant.parse_iso("2024-03-10T08:00:00Z")
        zoned = when.to_tz("America/New_York")
        assert isinstance(zoned, ZonedDateTime) and zoned.add(hours=24).hour == 4 and isinstance(when.to_fixed_offset(1), OffsetDateTime)
        assert all(Instant.now().to_tz(name) for name in available_timezones()) and len(available_timezones()) > 400
        assert zoned.to_stdlib().tzinfo.key == "America/New_York" and Instant(zoned.to_stdlib()) == when
        assert Date(2024, 2, 29).add(years=1, days=1) and Date.parse_iso("2024-02-29").day_of_week() is Weekday.THURSDAY is THURSDAY
        assert [MONDAY, TUESDAY, WEDNESDAY, FRIDAY, SATURDAY, SUNDAY] and Time(1, 2).hour == 1 and YearMonth(2024, 2).month == 2
        assert MonthDay(2, 29).is_leap_day() and IsoWeekDate(2024, 1, MONDAY) and TimeDelta(hours=1) == hours(1) == minutes(60) == seconds(3600)
        assert milliseconds(1) == microseconds(1000) == nanoseconds(1_000_000) and ItemizedDelta(days=1) and ItemizedDateDelta(days=1)
        plain = PlainDateTime(2024, 3, 10, 2, 30)
        try: plain.assume_tz("America/New_York", disambiguate="raise")
        except SkippedTime: pass
        try: PlainDateTime(2024, 11, 3, 1, 30).assume_tz("America/New_York", disambiguate="raise")
        except RepeatedTime: pass
        try: ZonedDateTime.parse_iso("2024-03-10T08:00:00+09:00[Europe/Paris]")
        except InvalidOffsetError: pass
        for name in ["Nowhere/City", "../../etc/localtime", "/etc/localtime"]:
            try: when.to_tz(name); assert False
            except TimeZoneNotFoundError: pass
        assert when.format("YYYY-MM-DD") == "2024-03-10" and ZonedDateTime.now("Asia/Tokyo").tz_id == "Asia/Tokyo"
        for own in [plain.assume_system_tz, when.to_system_tz]:
            try: own()
            except Exception: pass
        """,
    "cryptography": """
        import hashlib, hmac as plain_hmac
        from cryptography.exceptions import *_cryptography.exceptions_*
        from cryptography.fernet import Fernet, MultiFernet, InvalidToken
        from cryptography.hazmat.backends import default_backend
        from cryptography.hazmat.primitives import hashes, hmac, constant_time, padding, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding as paddings, rsa, utils, x25519
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes, aead
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
        from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
        box = Fernet(Fernet.generate_key())
        assert MultiFernet([box]).decrypt(box.encrypt(b"x"), ttl=60) == b"x"
        try: box.decrypt(b"x")
        except InvalidToken: pass
        for kind in [hashes.SHA1, hashes.SHA224, hashes.SHA256, hashes.SHA384, hashes.SHA512, hashes.SHA3_256, hashes.SHA3_384, hashes.SHA3_512, hashes.MD5]:
            digest = hashes.Hash(kind(), backend=default_backend()); digest.update(b"x")
            assert digest.finalize().hex() == hashlib.new(kind().name, b"x").hexdigest()
        assert hashes.Hash(hashes.BLAKE2b(64)).finalize() and hashes.Hash(hashes.BLAKE2s(32)).finalize()
        signer = hmac.HMAC(b"k", hashes.SHA256()); signer.update(b"x")
        assert constant_time.bytes_eq(signer.finalize(), plain_hmac.digest(b"k", b"x", "sha256"))
        padder = padding.PKCS7(128).padder()
        padded = padder.update(b"x") + padder.finalize()
        for algorithm, mode in [(algorithms.AES(b"k" * 32), modes.CBC(b"i" * 16)), (algorithms.AES128(b"k" * 16), modes.CTR(b"i" * 16)), (algorithms.AES256(b"k" * 32), modes.ECB()), (algorithms.ChaCha20(b"k" * 32, b"n" * 16), None)]:
            both = Cipher(algorithm, mode)
            sealed = both.encryptor().update(padded)
            assert both.decryptor().update(sealed) == padded != sealed
        gcm = Cipher(algorithms.AES(b"k" * 32), modes.GCM(b"n" * 12)).encryptor()
        gcm.authenticate_additional_data(b"a"); sealed = gcm.update(b"x") + gcm.finalize()
        assert aead.AESGCM(b"k" * 32).encrypt(b"n" * 12, b"x", b"a") == sealed + gcm.tag
        for kind in [aead.AESGCM, aead.AESGCMSIV, aead.AESCCM]:
            one = kind(kind.generate_key(128)); assert one.decrypt(b"n" * 12, one.encrypt(b"n" * 12, b"x", None), None) == b"x"
        assert aead.AESSIV(aead.AESSIV.generate_key(256)).encrypt(b"x", None)
        assert aead.ChaCha20Poly1305(aead.ChaCha20Poly1305.generate_key()).encrypt(b"n" * 12, b"x", None)
        try: aead.AESGCM(b"k" * 32).decrypt(b"n" * 12, b"x" * 17, None)
        except InvalidTag: pass
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert isinstance(key, rsa.RSAPrivateKey) and isinstance(key.public_key(), rsa.RSAPublicKey)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"p"))
        der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        again = serialization.load_pem_private_key(pem, b"p")
        assert serialization.load_der_private_key(der, None).private_numbers() == again.private_numbers()
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        public_der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        reader = serialization.load_pem_public_key(public)
        assert serialization.load_der_public_key(public_der) == reader and rsa.RSAPublicNumbers(reader.public_numbers().e, reader.public_numbers().n).public_key() == reader
        assert again.private_numbers() and rsa.RSAPrivateNumbers
        ssh = ed25519.Ed25519PrivateKey.generate()
        line = ssh.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        own = ssh.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        assert serialization.load_ssh_public_key(line) == ssh.public_key() and serialization.load_ssh_private_key(own, None)
        for how in [paddings.PKCS1v15(), paddings.PSS(paddings.MGF1(hashes.SHA256()), paddings.PSS.MAX_LENGTH), paddings.PSS(paddings.MGF1(hashes.SHA256()), paddings.PSS.DIGEST_LENGTH)]:
            reader.verify(key.sign(b"x", how, hashes.SHA256()), b"x", how, hashes.SHA256())
        assert paddings.PSS.AUTO
        oaep = paddings.OAEP(paddings.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        assert key.decrypt(reader.encrypt(b"x", oaep), oaep) == b"x"
        try: reader.verify(b"x", b"x", paddings.PKCS1v15(), hashes.SHA256())
        except InvalidSignature: pass
        for curve in [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()]:
            one, other = ec.generate_private_key(curve), ec.derive_private_key(7, curve)
            assert isinstance(one, ec.EllipticCurvePrivateKey) and isinstance(other.public_key(), ec.EllipticCurvePublicKey)
            assert one.exchange(ec.ECDH(), other.public_key()) == other.exchange(ec.ECDH(), one.public_key())
            digest = hashes.Hash(hashes.SHA256()); digest.update(b"x")
            signature = one.sign(digest.finalize(), ec.ECDSA(utils.Prehashed(hashes.SHA256())))
            one.public_key().verify(utils.encode_dss_signature(*utils.decode_dss_signature(signature)), b"x", ec.ECDSA(hashes.SHA256()))
            point = one.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            assert ec.EllipticCurvePublicKey.from_encoded_point(curve, point) == one.public_key()
            assert ec.EllipticCurvePublicNumbers(one.public_key().public_numbers().x, one.public_key().public_numbers().y, curve).public_key()
        raw = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
        ed25519.Ed25519PublicKey.from_public_bytes(raw.public_key().public_bytes_raw()).verify(raw.sign(b"x"), b"x")
        mine, yours = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.from_private_bytes(b"k" * 32)
        assert mine.exchange(yours.public_key()) == yours.exchange(x25519.X25519PublicKey.from_public_bytes(mine.public_key().public_bytes_raw()))
        assert HKDF(hashes.SHA256(), 32, None, b"i").derive(b"k") and HKDFExpand(hashes.SHA256(), 32, b"i").derive(b"k" * 32)
        assert PBKDF2HMAC(hashes.SHA256(), 32, b"s", 1000).derive(b"k") == hashlib.pbkdf2_hmac("sha256", b"k", b"s", 1000, 32)
        scrypt = Scrypt(b"s", 32, 1024, 8, 1)
        try: scrypt.verify(b"k", b"x" * 32)
        except InvalidKey: pass
        try: scrypt.derive(b"k")
        except AlreadyFinalized: pass
        """,
}
"""Library → statements that use every name it offers, in a coroutine."""
PYDASH = """
chunk([1,2,3], 2) == [[1,2],[3]]; compact([0,1]) == [1]; concat([1],[2]) == [1,2]; difference([1,2],[2]) == [1]
difference_by([{"a":1},{"a":2}],[{"a":1}],"a") == [{"a":2}]; difference_with([1,2],[2],lambda a,b: a==b) == [1]; drop([1,2]) == [2]; drop_right([1,2]) == [1]
drop_right_while([1,2], lambda x: x>1) == [1]; drop_while([1,2], lambda x: x<2) == [2]; duplicates([1,1]) == [1]; fill([1,2],0) == [0,0]
find_index([1,2], lambda x: x==2) == 1; find_last_index([1,2], lambda x: x==1) == 0; flatten([[1],[[2]]]) == [1,[2]]; flatten_deep([[1],[[2]]]) == [1,2]
flatten_depth([[[1]]],1) == [[1]]; from_pairs([["a",1]]) == {"a":1}; head([1]) == 1; index_of([1],1) == 0; initial([1,2]) == [1]; intersection([1,2],[2]) == [2]
intersection_by([1.2],[1.5],int) == [1.2]; intersection_with([1],[1],lambda a,b: a==b) == [1]; intersperse([1,2],0) == [1,0,2]; last([1,2]) == 2
last_index_of([1,1],1) == 1; mapcat([1],lambda x: [x,x]) == [1,1]; nth([1,2],1) == 2; pull([1,2],1) == [2]; pull_all([1,2],[1]) == [2]; pull_at([1,2],0) == [2]
remove([1,2],lambda x: x==1) == [1]; reverse([1,2]) == [2,1]; slice_([1,2,3],1,2) == [2]; sorted_index([1,3],2) == 1; sorted_uniq([2,1,1]) == [1,2]
splice([1,2],0,1) == [1]; split_at([1,2],1) == [[1],[2]]; tail([1,2]) == [2]; take([1,2]) == [1]; take_right([1,2]) == [2]
take_right_while([1,2],lambda x: x>1) == [2]; take_while([1,2],lambda x: x<2) == [1]; union([1],[2]) == [1,2]; union_by([1],[1.5],int) == [1]
union_with([1],[1],lambda a,b: a==b) == [1]; uniq([1,1]) == [1]; uniq_by([1,1.5],int) == [1]; uniq_with([1,1],lambda a,b: a==b) == [1]
unzip([(1,2)]) == [(1,),(2,)]; unzip_with([[1,2]],lambda a,b: a) == [1,2]; without([1,2],1) == [2]; xor([1,2],[2,3]) == [1,3]; xor_by([1],[2],int) == [1,2]
xor_with([1],[2],lambda a,b: a==b) == [1,2]; zip_([1],[2]) == [(1,2)]; zip_object(["a"],[1]) == {"a":1}; zip_object_deep(["a.b"],[1]) == {"a":{"b":1}}
zip_with([1],[2],lambda a,b: a+b) == [3]; at({"a":{"b":1}},"a.b") == [1]; count_by([1,2],lambda x: x%2) == {1:1,0:1}; every([1,1]) ; filter_([{"a":1},{"a":2}],{"a":1}) == [{"a":1}]
find([1,2],lambda x: x>1) == 2; find_last([1,2],lambda x: x<2) == 1; flat_map([1],lambda x: [x]) == [1]; flat_map_deep([1],lambda x: [[x]]) == [1]
for_each([1],lambda x: None) == [1]; for_each_right([1],lambda x: None) == [1]; group_by([{"a":1}],"a") == {1:[{"a":1}]}; includes([1],1); key_by([{"a":1}],"a") == {1:{"a":1}}
map_([{"a":{"b":1}}],"a.b") == [1]; nest([{"a":1}],"a") == {1:[{"a":1}]}; order_by([{"a":1},{"a":2}],["-a"])[0] == {"a":2}; partition([1,2],lambda x: x>1) == [[2],[1]]
pluck([{"a":1}],"a") == [1]; reduce_([1,2],lambda a,b: a+b) == 3; reduce_right([1,2],lambda a,b: a-b) == 1; reject([1,2],lambda x: x>1) == [1]; sample([1]) == 1
sample_size([1,2],1); shuffle([1]) == [1]; size([1]) == 1; some([0,1]); sort_by([{"a":2},{"a":1}],"a")[0] == {"a":1}; ary(lambda *a: a,1)(1,2) == (1,)
curry(lambda a,b: a+b)(1)(2) == 3; flip(lambda a,b: a-b)(1,2) == 1; flow(lambda x: x+1, lambda x: x*2)(1) == 4; flow_right(lambda x: x+1, lambda x: x*2)(1) == 3
juxtapose(lambda x: x)(1) == [1]; negate(lambda: False)(); once(lambda: 1)() == 1; over_args(lambda a: a, lambda a: a+1)(1) == 2; partial(lambda a,b: a-b,1)(2) == -1
partial_right(lambda a,b: a-b,1)(2) == 1; rearg(lambda a,b: a-b,1,0)(1,2) == 1; spread(lambda a,b: a+b)([1,2]) == 3; unary(lambda *a: a)(1,2) == (1,)
add(1,2) == 3; ceil(1.2) == 2; clamp(5,1,3) == 3; divide(4,2) == 2; floor(1.8) == 1; max_([1,2]) == 2; max_by([{"a":1},{"a":2}],"a") == {"a":2}; mean([1,3]) == 2
mean_by([{"a":1}],"a") == 1; median([1,2,3]) == 2; min_([1,2]) == 1; min_by([{"a":1}],"a") == {"a":1}; multiply(2,3) == 6; power(2,3) == 8; round_(1.26,1) == 1.3
std_deviation([1,1]) == 0; subtract(3,1) == 2; sum_([1,2]) == 3; sum_by([{"a":1}],"a") == 1; variance([1,1]) == 0; assign({},{"a":1}) == {"a":1}
assign_with({"a":1},{"a":2},lambda a,b: a+b) == {"a":3}; clone({"a":1}) == clone_deep({"a":1}); defaults({},{"a":1}) == {"a":1}; defaults_deep({"a":{}},{"a":{"b":1}}) == {"a":{"b":1}}
find_key({"a":1},lambda x: x==1) == "a"; find_last_key({"a":1},lambda x: x==1) == "a"; for_in({"a":1},lambda x: None) == {"a":1}; get({"a":[{"b":1}]},"a[0].b") == 1
get({},"a.b","no") == "no"; has({"a":{"b":1}},"a.b"); invert({"a":1}) == {1:"a"}; invert_by({"a":1},lambda x: x) == {1:["a"]}; keys({"a":1}) == ["a"]
map_keys({"a":1},lambda v,k: k+"b") == {"ab":1}; map_values({"a":1},lambda x: x+1) == {"a":2}; map_values_deep({"a":{"b":1}},lambda x: x+1) == {"a":{"b":2}}
merge({"a":{"b":1}},{"a":{"c":2}}) == {"a":{"b":1,"c":2}}; merge_with({"a":1},{"a":2},lambda a,b: a+b) == {"a":3}; omit({"a":1,"b":2},"a") == {"b":2}
omit_by({"a":1},lambda x: x==1) == {}; parse_int("12") == 18; pick({"a":1,"b":2},"a") == {"a":1}; pick_by({"a":1},lambda x: x==1) == {"a":1}; rename_keys({"a":1},{"a":"b"}) == {"b":1}
set_({},"a.b[1]",1) == {"a":{"b":[None,1]}}; set_with({},"a.b",1,lambda: {}) == {"a":{"b":1}}; to_boolean("true"); to_dict([1]) == {0:1}; to_integer("1.5") == 1
to_list({"a":1}) == [1]; to_number("1.5",1) == 1.5; to_pairs({"a":1}) == [("a",1)]; to_string(1) == "1"; transform([1],lambda a,x: a.append(x)) == [1]
unset({"a":1},"a"); update({"a":1},"a",lambda x: x+1) == {"a":2}; update_with({},"a",lambda x: 1) == {"a":1}; values({"a":1}) == [1]; eq(1,1); gt(2,1); gte(1,1)
in_range(1,2); is_blank(" "); is_boolean(True); is_date(datetime.date(2024,1,1)); is_dict({}); is_empty([]); is_equal(1,1); is_equal_with(1,1,lambda a,b: a==b)
is_error(ValueError()); is_even(2); is_float(1.5); is_function(len); is_indexed([]); is_instance_of(1,int); is_integer(1); is_iterable([]); is_json("1"); is_list([])
is_match({"a":1,"b":2},{"a":1}); is_match_with({"a":1},{"a":1},lambda a,b: a==b); is_nan("a"); is_negative(-1); is_none(None); is_number(1); is_object({}); is_odd(1); is_positive(1)
is_reg_exp(re.compile("a")); is_set(set()); is_string("a"); is_tuple(()); is_zero(0); lt(1,2); lte(1,1); camel_case("a b") == "aB"; capitalize("ab") == "Ab"
chars("ab") == ["a","b"]; clean(" a  b ") == "a b"; count_substr("aa","a") == 2; deburr("\\xe9") == "e"; decapitalize("AB") == "aB"; ends_with("ab","b"); ensure_ends_with("a","b") == "ab"
ensure_starts_with("b","a") == "ab"; escape("<") == "&lt;"; escape_reg_exp("."); has_substr("ab","b"); human_case("a_b") == "A b"; insert_substr("ac",1,"b") == "abc"
join(["a","b"],",") == "a,b"; kebab_case("a b") == "a-b"; lines("a\\nb") == ["a","b"]; lower_case("A B") == "a b"; lower_first("AB") == "aB"; number_format(1234.5,1) == "1,234.5"
pad("a",3) == " a "; pad_end("a",2) == "a "; pad_start("a",2) == " a"; pascal_case("a b") == "AB"; prune("a b c",3); quote("a") == '"a"'; reg_exp_replace("ab","a","b") == "bb"
repeat("a",2) == "aa"; replace("ab","a","b") == "bb"; replace_end("ab","b","c") == "ac"; replace_start("ab","a","c") == "cb"; separator_case("a b","_") == "a_b"
series_phrase(["a","b"]) == "a and b"; slugify("a b") == "a-b"; snake_case("a b") == "a_b"; split("a b") == ["a","b"]; start_case("a b") == "A B"; starts_with("ab","a")
strip_tags("<a>b</a>") == "b"; substr_left("ab","b") == "a"; substr_right("ab","a") == "b"; surround("a","b") == "bab"; swap_case("aB") == "Ab"; title_case("a b") == "A B"
to_lower("A") == "a"; to_upper("a") == "A"; trim(" a ") == "a"; trim_end("a ") == "a"; trim_start(" a") == "a"; truncate("abc",2); unescape("&lt;") == "<"; unquote('"a"') == "a"
upper_case("a b") == "A B"; upper_first("ab") == "Ab"; url("http://a","b") == "http://a/b"; words("a b") == ["a","b"]; cond([[lambda x: True, lambda x: x]])(1) == 1
conforms({"a":lambda x: x==1})({"a":1}); conforms_to({"a":1},{"a":lambda x: x==1}); constant(1)() == 1; default_to(None,1) == 1; default_to_any(None,None,1) == 1; identity(1) == 1
iteratee("a")({"a":1}) == 1; matches({"a":1})({"a":1}); matches_property("a",1)({"a":1}); memoize(lambda x: x)(1) == 1; noop() is None; now() > 0; nth_arg(1)(1,2) == 2
over([lambda x: x])(1) == [1]; over_every([lambda x: x])(1); over_some([lambda x: x])(1); properties("a")({"a":1}) == [1]; property_("a")({"a":1}) == 1; property_of({"a":1})("a") == 1
random(1,1) == 1; list(range_(2)) == [0,1]; list(range_right(2)) == [1,0]; stub_dict() == {}; stub_list() == []; times(2,lambda x: x) == [0,1]; to_path("a[0].b") == ["a",0,"b"]
unique_id("a"); chain([1,2]).map_(lambda x: x+1).filter(lambda x: x>2).value() == [3]; _.map([1],lambda x: x+1) == [2]; py_([1]).head().value() == 1
"""
"""An expression that is true for each name of pydash, which is taken from there by name; `;` parts them."""


def names_of(library: str) -> dict[str, set[str]]:
    """Module → names."""
    facade = importlib.import_module(f"sandbox.facades.libraries.{library}")
    return {module: set(entry.names.split()) for module, entry in facade.MODULES.items()}


def body_of(library: str) -> str:
    if library == "pydash":
        checks = [
            part.strip() for line in PYDASH.splitlines() for part in re.split(r";\s", line) if part.strip()
        ]
        lines = [f"from pydash import {', '.join(sorted(names_of('pydash')['pydash']))}"]
        return "\n".join(["import datetime, re", *lines, *(f"assert {check}" for check in checks)])
    body = USES[library].replace(
        "*_NAMES_*", ", ".join(sorted(names_of("whenever")["whenever"])) if library == "whenever" else ""
    )
    for module, names in names_of(library).items():
        body = body.replace(f"*_{module}_*", ", ".join(sorted(names)))
    return textwrap.dedent(body)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a daemon that allows every library."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    config = daemon.folder / "engine.toml"
    config.write_text(f"libraries = {json.dumps(list(LIBRARIES))}\nspares = 1\n")
    daemon.start("--config", str(config))
    with daemon.client() as client:
        yield client
    assert daemon.stop() == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_there_is_a_use_of_every_name(library: str) -> None:
    body = PYDASH if library == "pydash" else USES[library]
    for module, names in names_of(library).items():
        if f"*_{module}_*" not in body and "*_NAMES_*" not in body:
            missing = {name for name in names if not re.search(rf"\b{name}\b", body)}
            assert not missing, f"{module}: {sorted(missing)}"


@pytest.mark.parametrize("library", LIBRARIES)
def test_all_that_a_library_offers_works_in_a_worker(library: str, everything: Client) -> None:
    imports, rest = [], []
    for line in body_of(library).strip().splitlines():
        (imports if re.match(r"(import|from) ", line) else rest).append(line)
    source = "\n".join(
        [*imports, "async def on_track(event):", *(f"    {line}" for line in rest), "    return 'used'"]
    )
    result = everything.test(
        source, [{"type": "track", "event": "E", "userId": "u"}], limits={"timeout_ms": 20_000}
    )[0]
    assert (result.result, result.error) == ("'used'", None)
