from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.serve import LOOPBACK
from engine.egress.addresses import why_not_public
from engine.egress.rules import (
    Refused,
    Rules,
    Step,
    check_headers,
    check_method,
    follow,
    parse_pattern,
    parse_target,
)
from sandbox.fetch_wire import HEADER_BYTES_MAX, HEADERS_MAX, URL_CHARS_MAX


def refusal(url: str, rules: Rules | None = None) -> str:
    """What is said when a URL is refused before anything is resolved; empty if it isn't."""
    try:
        (rules or Rules()).check_target(parse_target(url))
    except Refused as error:
        return str(error)
    return ""


# --- URLs

URLS = {
    "http://example.com": ("http", "example.com", 80, "/"),
    "HTTPS://EXAMPLE.com/A?b=C#d": ("https", "example.com", 443, "/A?b=C"),
    "https://example.com:443?x": ("https", "example.com", 443, "/?x"),
    "https://example.com./": ("https", "example.com", 443, "/"),
    "https://a_b.example-c.com/%20?q=a%2Fb": ("https", "a_b.example-c.com", 443, "/%20?q=a%2Fb"),
    "https://bücher.example/ü?q=ü": ("https", "xn--bcher-kva.example", 443, "/%C3%BC?q=%C3%BC"),
    "http://[2606:4700::0001]:80/": ("http", "2606:4700::1", 80, "/"),
    "http://a#@127.0.0.1/@": ("http", "a", 80, "/"),
    "http://\uff11.1.1.1/": ("http", "1.1.1.1", 80, "/"),
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_taken_apart(url: str) -> None:
    assert tuple(parse_target(url))[:4] == URLS[url]


STRANGE_URLS = [
    "", "example.com", "//example.com/", "/x", "http:/example.com", "http:example.com", "http://", "http:///x",
    # other schemes
    "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "data:,x", "javascript:1", "ws://example.com/",
    # user names, and what looks like a host to one parser and like a user to another
    "http://user@example.com/", "http://user:pass@example.com/", "http://127.0.0.1@example.com/", "http://@example.com/",
    "http://example.com\\@127.0.0.1/", "http://example.com\\.evil.com/", "http://example.com:80@evil/",
    # spaces and control characters
    "http://example.com/a b", "http://exa mple.com/", "http://example.com/\r\nX: y", "http://example.com/\x00",
    "http://example.com/\t", " http://example.com/", "http://example.com/\n", "http://example.com/\x7f", "http://example.com/\x85",
    "http://example.com/\u2028", "http://example.com/\u00a0",
    # ports
    "http://example.com:/", "http://example.com:0/", "http://example.com:65536/", "http://example.com:+80/",
    "http://example.com:8 0/", "http://example.com:80:80/", "http://example.com:http/", "http://example.com:\uff18\uff10/",
    "http://example.com:-1/", "http://example.com:0x50/", "http://example.com:080000/",
    # hosts
    "http://.example.com/", "http://example..com/", "http://exam%70le.com/", "http://exa$mple.com/", "http://-a.com/",
    "http://a,b/", "http://[::1/", "http://::1/", "http://[127.0.0.1]/", "http://[::1%25lo]/", "http://[]/", "http://[g::]/",
    "http://" + "a" * 64 + ".com/", "http://" + "a." * 130 + "com/", "http://xn--/".replace("--", "--\u0378"), "http://\u0378/",
    "http://example.com/" + "a" * URL_CHARS_MAX,
]  # fmt: skip


@pytest.mark.parametrize("url", STRANGE_URLS)
def test_a_url_that_is_spelt_with_doubt_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        parse_target(url)


ODD_SPELLINGS = ["127.1", "0177.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "127.0.0.1.", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
                 "0", "0x", "127.0.0.01", "1.2.3.4.5", "256.1.1.1", "017700000001", "①②⑦.0.0.1"]  # fmt: skip


@pytest.mark.parametrize("host", ODD_SPELLINGS)
def test_an_odd_spelling_of_an_address_is_refused(host: str) -> None:
    assert refusal(f"http://{host}/")


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser_and_what_passes_is_in_its_one_spelling(text: str) -> None:
    try:
        target = parse_target("http://" + text)
    except Refused:
        return
    assert target.url.isascii()
    assert not set(target.url) & set(" \\\r\n\t@" if "@" not in target.rest else " \\\r\n\t")
    assert parse_target(target.url) == target


# --- Addresses, ports and lists


@given(st.ip_addresses())
def test_no_address_that_is_not_public_is_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    assert bool(refusal(f"http://{host}/")) == bool(why_not_public(address))


def test_each_address_of_a_name_is_judged() -> None:
    target = parse_target("https://example.com/")
    rules = Rules()
    rules.check_target(target)
    rules.check_address(target, ipaddress.ip_address("93.184.215.14"))
    with pytest.raises(Refused, match=r"example.com \(10.0.0.1\) is not public \(private\).*egress_allow"):
        rules.check_address(target, ipaddress.ip_address("10.0.0.1"))


def test_the_machines_own_addresses_are_refused() -> None:
    own = ipaddress.ip_address("8.8.4.4")
    assert "own address" in refusal("http://8.8.4.4/", Rules(own=frozenset({own})))


CASES = [
    # (allow, deny, URL, address of the name, allowed)
    ("", "", "http://example.com:80/", "8.8.8.8", True),
    ("", "", "https://example.com:443/", "8.8.8.8", True),
    ("", "", "http://example.com:443/", "8.8.8.8", True),
    ("", "", "http://example.com:8080/", "8.8.8.8", False),
    ("", "", "http://example.com:22/", "8.8.8.8", False),
    ("example.com:8080", "", "http://example.com:8080/", "8.8.8.8", True),
    ("example.com:8080", "", "http://example.com:8081/", "8.8.8.8", False),
    ("example.com:8080", "", "http://example.org:8080/", "8.8.8.8", False),
    ("example.com:8080", "", "http://sub.example.com:8080/", "8.8.8.8", False),
    ("*.example.com:8080", "", "http://sub.example.com:8080/", "8.8.8.8", True),
    ("*.example.com:8080", "", "http://example.com:8080/", "8.8.8.8", False),
    ("*.example.com:8080", "", "http://badexample.com:8080/", "8.8.8.8", False),
    ("api.internal", "", "http://api.internal/", "10.0.0.5", True),
    ("api.internal", "", "https://api.internal/", "10.0.0.5", True),
    ("api.internal", "", "http://api.internal:8080/", "10.0.0.5", False),
    ("api.internal:*", "", "http://api.internal:8080/", "10.0.0.5", True),
    ("other.internal", "", "http://api.internal/", "10.0.0.5", False),
    ("10.0.0.0/24", "", "http://api.internal/", "10.0.0.5", True),
    ("10.0.0.0/24", "", "http://api.internal/", "10.0.1.5", False),
    ("10.0.0.0/24:8080", "", "http://api.internal:8080/", "10.0.0.5", True),
    ("10.0.0.0/24:8080", "", "http://api.internal:8080/", "8.8.8.8", False),
    ("10.0.0.0/24:8080", "", "http://10.0.0.7:8080/", "", True),
    ("10.0.0.0/24", "", "http://10.0.1.7/", "", False),
    ("10.0.0.7:8080", "", "http://10.0.0.7:8080/", "", True),
    ("10.0.0.7:8080", "", "http://[::ffff:10.0.0.7]:8080/", "", False),
    ("[fd00::/8]:443", "", "https://[fd00::1]/", "", True),
    ("[fd00::1]:8080", "", "http://[fd00::1]:8080/", "", True),
    ("*:8443", "", "https://example.com:8443/", "8.8.8.8", True),
    # what denies wins
    ("", "example.com", "http://example.com/", "8.8.8.8", False),
    ("", "*.example.com", "http://a.example.com/", "8.8.8.8", False),
    ("", "*.example.com", "http://example.com/", "8.8.8.8", True),
    ("", "8.8.8.0/24", "http://example.com/", "8.8.8.8", False),
    ("", "8.8.8.0/24:443", "http://example.com/", "8.8.8.8", True),
    ("10.0.0.0/8:*", "10.0.0.5", "http://10.0.0.5:8080/", "", False),
    ("api.internal:*", "10.0.0.0/8", "http://api.internal/", "10.0.0.5", False),
    ("api.internal:*", "api.internal:8080", "http://api.internal:8080/", "10.0.0.5", False),
    ("api.internal:*", "api.internal:8080", "http://api.internal:8081/", "10.0.0.5", True),
]


@pytest.mark.parametrize(("allow", "deny", "url", "address", "is_allowed"), CASES)
def test_the_operators_lists(allow: str, deny: str, url: str, address: str, *, is_allowed: bool) -> None:
    rules = Rules(
        tuple(parse_pattern(text) for text in allow.split()),
        tuple(parse_pattern(text) for text in deny.split()),
    )
    target = parse_target(url)
    try:
        rules.check_target(target)
        rules.check_address(target, target.address or ipaddress.ip_address(address))
    except Refused:
        assert not is_allowed
    else:
        assert is_allowed


def test_dev_allows_loopback_at_any_port_and_nothing_else() -> None:
    rules = Rules(allow=tuple(map(parse_pattern, LOOPBACK)))
    assert refusal("http://127.0.0.1:5000/", rules) == ""
    assert refusal("http://[::1]:5000/", rules) == ""
    assert refusal("http://192.168.0.1/", rules)
    assert refusal("http://[::ffff:127.0.0.1]:5000/", rules)
    target = parse_target("http://localhost:5000/")
    rules.check_target(target)
    rules.check_address(target, ipaddress.ip_address("127.0.0.1"))
    with pytest.raises(Refused):
        rules.check_address(target, ipaddress.ip_address("8.8.8.8"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a:0",
        "a:65536",
        "a:b",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "a b",
        "http://a",
        "*.",
        "*a.com",
        "a/b",
        "[::1",
        "1.2.3",
    ],
)
def test_an_entry_that_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_pattern(text)


def test_a_refusal_names_the_way_to_allow_it() -> None:
    assert "--allow 127.0.0.1:8080" in refusal("http://127.0.0.1:8080/")
    assert "--allow [::1]:80" in refusal("http://[::1]/")
    assert "--allow example.com:8080" in refusal("http://example.com:8080/")


# --- Methods and headers


def test_a_method_is_a_token_and_opens_no_tunnel() -> None:
    assert [check_method(name) for name in ("get", "POST", "Patch", "PROPFIND")] == [
        "GET",
        "POST",
        "PATCH",
        "PROPFIND",
    ]
    for name in ("", "GET /", "GET\r\nHost: x", "G\x00T", "CONNECT", "connect", "TRACE", "é", "X" * 33):
        with pytest.raises(Refused):
            check_method(name)


def test_headers_that_are_ours_to_say_are_left_out() -> None:
    sent = [
        ("Host", "evil"), ("Content-Length", "9"), ("Transfer-Encoding", "chunked"), ("Connection", "close"), ("TE", "x"),
        ("Upgrade", "h2c"), ("Proxy-Authorization", "x"), ("Expect", "100-continue"), ("X-Kept", " yes\t"), ("Accept", ""),
    ]  # fmt: skip
    assert check_headers(sent) == [("X-Kept", "yes"), ("Accept", "")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\rb"), ("X", "\x00"), ("X", "\x7f"), ("X\r\nY", "b"), ("X Y", "b"), ("X:", "b"),
     ("", "b"), ("é", "b"), ("X\n", "b"), ("X", "b\n")],
)  # fmt: skip
def test_header_injection_is_refused(name: str, value: str) -> None:
    with pytest.raises(Refused):
        check_headers([(name, value)])


def test_headers_are_bounded_in_number_and_bytes() -> None:
    assert len(check_headers([("X", "y")] * HEADERS_MAX)) == HEADERS_MAX
    with pytest.raises(Refused):
        check_headers([("X", "y")] * (HEADERS_MAX + 1))
    with pytest.raises(Refused):
        check_headers([("X", "y" * HEADER_BYTES_MAX)])


# --- Redirects

FIRST = Step(
    "POST",
    parse_target("https://a.example/x/y?q"),
    [
        ("Authorization", "secret"),
        ("Content-Type", "application/json"),
        ("Cookie", "c"),
        ("X-Key", "k"),
        ("Accept", "*/*"),
    ],
    b"{}",
)


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [(301, "GET", b""), (302, "GET", b""), (303, "GET", b""), (307, "POST", b"{}"), (308, "POST", b"{}")],
)
def test_a_redirect_repeats_the_request_or_becomes_a_get(status: int, method: str, body: bytes) -> None:
    step = follow(status, "../z", FIRST)
    assert step is not None
    assert (step.method, step.body, step.target.url) == (method, body, "https://a.example/z")
    assert ("Content-Type" in dict(step.headers)) == (method == "POST")
    assert dict(step.headers)["Authorization"] == "secret"


@pytest.mark.parametrize(
    "place", ["https://b.example/", "http://a.example/", "https://a.example:444/", "//b.example/"]
)
def test_credentials_stay_with_their_origin(place: str) -> None:
    step = follow(307, place, FIRST, frozenset({"authorization", "cookie", "x-key"}))
    assert step is not None
    assert [name for name, _ in step.headers] == ["Content-Type", "Accept"]


def test_what_is_no_redirect_is_not_followed() -> None:
    assert follow(200, "/z", FIRST) is None
    assert follow(304, "/z", FIRST) is None
    assert follow(302, None, FIRST) is None
    assert follow(302, "", FIRST) is None


@pytest.mark.parametrize(
    "place",
    ["file:///etc/passwd", "http://u@b.example/", "//b.example\\@c/", "gopher://b/", "http://2130706433/"],
)
def test_a_redirect_is_parsed_as_strictly_as_the_first_url(place: str) -> None:
    with pytest.raises(Refused):
        follow(302, place, FIRST)


def test_a_redirect_into_private_space_is_refused_when_it_is_checked() -> None:
    step = follow(302, "http://169.254.169.254/latest/meta-data/", FIRST)
    assert step is not None
    with pytest.raises(Refused, match="link-local"):
        Rules().check_target(step.target)
