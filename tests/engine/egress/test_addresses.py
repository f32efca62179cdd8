from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.egress.addresses import parse_address, why_not_public

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.215.14",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450::1",
]
NOT_PUBLIC = [
    # this machine and its networks
    *("0.0.0.0 0.1.2.3 127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.1.1".split()),
    *(":: ::1 fe80::1 fc00::1 fd12:3456::1 fec0::1".split()),
    # metadata services of clouds
    *("169.254.169.254 168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254".split()),
    # carriers, benchmarks, documentation, relays, multicast, reserved
    *("100.64.0.1 100.127.255.255 198.18.0.1 192.0.2.1 198.51.100.1 203.0.113.1 192.88.99.1".split()),
    *("224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 192.0.0.8".split()),
    *("2001:db8::1 3fff::1 ff02::1 100::1 5f00::1 2001:2::1 2001:10::1 4000::1 1::1".split()),
    # an IPv4 address inside: mapped, translated, compatible, NAT64, 6to4, Teredo, ISATAP; even a public one
    *("::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 ::127.0.0.1 ::8.8.8.8 64:ff9b::7f00:1".split()),
    *("64:ff9b::808:808 64:ff9b:1::a00:1 2002:7f00:1:: 2002:808:808::1 2001:0:4136:e378:8000:63bf:3fff:fdd2".split()),
    *("2606:4700::5efe:7f00:1 2606:4700::200:5efe:a00:1 2a00::200:5efe:808:808".split()),
]  # fmt: skip
SPECIAL_NETWORKS = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24"
        " 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
        " ::/96 ::1/128 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2001:2::/48"
        " 2001:10::/28 2001:20::/28 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8"
    ).split()
]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_public(text: str) -> None:
    assert why_not_public(ipaddress.ip_address(text)) == ""


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_that_is_not_public_says_why(text: str) -> None:
    assert why_not_public(ipaddress.ip_address(text))


@given(st.sampled_from(SPECIAL_NETWORKS).flatmap(lambda network: st.ip_addresses(network=network)))
def test_no_address_of_a_special_network_is_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert why_not_public(address)


@given(st.ip_addresses())
def test_what_the_library_knows_as_not_global_is_never_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert why_not_public(address)


@given(
    st.ip_addresses(v=4), st.sampled_from(["mapped", "compatible", "translated", "nat64", "6to4", "isatap"])
)
def test_no_form_that_embeds_an_address_is_public(inner: ipaddress.IPv4Address, form: str) -> None:
    number = int(inner)
    whole = {
        "mapped": 0xFFFF << 32 | number,
        "compatible": number,
        "translated": 0xFFFF << 48 | number,
        "nat64": 0x64_FF9B << 96 | number,
        "6to4": 0x2002 << 112 | number << 80 | 1,
        "isatap": 0x2606_4700 << 96 | 0x5EFE << 32 | number,
    }[form]
    assert why_not_public(ipaddress.IPv6Address(whole))


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "127.1", "0177.0.0.1", "1.2.3.04", "0x7f.0.0.1", "", "a", "2130706433"]
)
def test_only_the_strict_spelling_of_an_address_is_one(text: str) -> None:
    assert parse_address(text) is None


def test_an_address_with_a_scope_is_not_public() -> None:
    assert why_not_public(ipaddress.ip_address("2606:4700::1%eth0"))
