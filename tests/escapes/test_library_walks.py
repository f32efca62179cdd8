"""Libraries: what they look up by name, what they hold, what they can be handed, and what they hand to whoever inherits from them."""

from __future__ import annotations

from attempts import Attempt
from ways import (
    test_it_fails_as_a_function,
    test_it_succeeds_in_plain_python,
    test_it_wins_nothing_in_the_jail,
)

__all__ = [
    "test_it_fails_as_a_function",
    "test_it_succeeds_in_plain_python",
    "test_it_wins_nothing_in_the_jail",
]

ATTEMPTS = [
    # --- pydash: names from data
    Attempt(
        "a file by a path of pydash through a module",
        "import json, pydash\ndef attempt(): return pydash.get(json, 'codecs.builtins.open')('@FILE@').read()",
        jailed="nothing",
    ),
    Attempt(
        "a frame by a path of pydash",
        "import pydash\ndef attempt(): return str(pydash.get((x for x in 'a'), 'gi_frame'))",
        "<frame at",
        jailed="nothing",
    ),
    Attempt(
        "a frame by a property of pydash, as what a list is mapped with",
        "import pydash\ndef attempt(): return str(pydash.map_([(x for x in 'a')], 'gi_frame.f_builtins')[0]['open'])",
        "built-in function open",
        jailed="nothing",
    ),
    Attempt(
        "a frame by a chain of pydash",
        "import pydash\ndef attempt(): return str(pydash.chain((x for x in 'a')).get('gi_frame').value())",
        "<frame at",
        jailed="nothing",
    ),
    Attempt(
        "a method called by name",
        "import pydash\ndef attempt(): return str(pydash.invoke((x for x in 'a'), 'gi_frame.f_builtins.get', 'open'))",
        "built-in function open",
        jailed="nothing",
    ),
    Attempt(
        "a class of the library changed by a path",
        """
        import json, pydash
        def attempt():
            pydash.set_(json.JSONEncoder, "default", lambda self, o: "changed for all")
            return json.dumps(1j)
        """,
        "changed for all",
        jailed="nothing",
    ),
    Attempt(
        "what stands in a class, as a dict",
        "import json, pydash\ndef attempt(): return str(pydash.to_dict(json.JSONEncoder)['iterencode'])",
        "<function JSONEncoder",
        jailed="nothing",
    ),
    Attempt(
        "what stands in a module, as a dict",
        "import json, pydash\ndef attempt(): return str(pydash.values(json))",
        "<module 'codecs'",
        jailed="nothing",
    ),
    Attempt(
        "builtins that are compared with what is called",
        """
        import pydash
        class Trap:
            seen = []
            def __hash__(self): return hash(len)
            def __eq__(self, other): self.seen.append(other)
            def __call__(self, value): return value
        def attempt():
            pydash.map_([1], Trap())
            return str(Trap.seen)
        """,
        "built-in function len",
        jailed="nothing",
    ),
    Attempt(
        "modules behind pydash",
        "import pydash\ndef attempt(): return str(pydash.helpers.inspect.sys)",
        "<module 'sys'",
    ),
    Attempt(
        "a deadline held back by a call that catches all",
        """
        import pydash
        def spin(value):
            while True: pass
        def on_track(event, settings):
            return pydash.apply_catch(1, spin, [BaseException], "held back")
        """,
        "held back",
        is_ended=True,
        timeout_ms=200,
    ),
    # --- xmltodict
    Attempt(
        "a document that grows as it is read",
        """
        import xmltodict
        def attempt():
            entities = "".join(f'<!ENTITY e{n} "&e{n - 1};&e{n - 1};">' for n in range(1, 12))
            text = f'<!DOCTYPE a [<!ENTITY e0 "grown">{entities}]><a>&e11;</a>'
            return xmltodict.parse(text, disable_entities=False)["a"][-10:]
        """,
        "growngrown",
    ),
    Attempt(
        "a parser that is handed in gets the handlers",
        """
        import xmltodict
        class Parser:
            StartElementHandler = None
            def Parse(self, text, is_final): pass
        class Expat:
            def ParserCreate(self, *args):
                self.made = Parser()
                return self.made
        def attempt():
            expat = Expat()
            xmltodict.parse("<a/>", expat=expat)
            return str(expat.made.StartElementHandler)
        """,
        "bound method _DictSAXHandler",
    ),
    Attempt(
        "modules behind xmltodict",
        "import xmltodict\ndef attempt(): return str(xmltodict.codecs)",
        "<module 'codecs'",
    ),
    # --- jwt
    Attempt(
        "an algorithm that counts for all tokens of the process",
        """
        import jwt
        def attempt():
            jwt.unregister_algorithm("HS256")
            return "unregistered"
        """,
        "unregistered",
    ),
    Attempt(
        "keys fetched by jwt itself",
        """
        import jwt
        def attempt():
            try: jwt.PyJWKClient("http://127.0.0.1:@PORT@/", timeout=0.1).fetch_data()
            except jwt.PyJWKClientError as error: return f"connected: {error}"
        """,
        "connected.*timed out",
        jailed="nothing",
    ),
    Attempt(
        "modules behind jwt",
        "import jwt\ndef attempt(): return str(jwt.api_jwt.os.environ['CANARY'])",
        jailed="nothing",
    ),
    # --- phonenumbers
    Attempt(
        "the set of regions",
        """
        import phonenumbers
        def attempt():
            phonenumbers.SUPPORTED_REGIONS.clear()
            return f"cleared {phonenumbers.SUPPORTED_REGIONS}"
        """,
        r"cleared set\(\)",
    ),
    Attempt(
        "modules behind phonenumbers",
        "import phonenumbers\ndef attempt(): return str(phonenumbers.phonenumberutil.re)",
        "<module 're'",
    ),
    # --- whenever
    Attempt(
        "zones read from a folder",
        "import whenever\ndef attempt():\n    whenever.reset_tzpath(['@FOLDER@'])\n    return str(whenever.get_tzpath())",
        "prizes",
    ),
    Attempt(
        "the clock of the process",
        """
        import whenever
        def attempt():
            with whenever.patch_current_time(whenever.Instant.from_timestamp(0), keep_ticking=False):
                return str(whenever.Instant.now())
        """,
        "1970-01-01",
    ),
    # --- cryptography
    Attempt(
        "a cipher whose key is shorter than it says",
        """
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        def attempt():
            class Short(AES):
                key_size = 256
            return "made " + Short.__name__
        """,
        "made Short",
    ),
    Attempt(
        "the backend's own library",
        """
        from cryptography.hazmat.backends import default_backend
        def attempt(): return str(default_backend().openssl_version_text())
        """,
        "OpenSSL",
    ),
    Attempt(
        "modules behind cryptography",
        "import cryptography.fernet\ndef attempt(): return cryptography.fernet.os.environ['CANARY']",
        jailed="nothing",
    ),
]
