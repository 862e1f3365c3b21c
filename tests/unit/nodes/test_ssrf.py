import pytest

from nodes.context import HttpRules
from nodes.errors import NodeError, SealedNetworkError
from nodes.ssrf import checked_destination, sealed_reason
from tests.support.fakes import TableResolver

SEALED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1",
    "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378::1", "2001:db8::1",
    "2001:10::1", "2002:7f00:1::", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "4000::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "not an address", "",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "128.0.0.1", "168.63.129.15",
    "168.63.129.17", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255",
    "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111",
    "2001:4860:4860::8888", "2a00:1450::1", "::ffff:8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", SEALED)
def test_addresses_that_are_not_public_are_sealed(address: str) -> None:
    assert sealed_reason(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not(address: str) -> None:
    assert sealed_reason(address) is None


@pytest.mark.parametrize("address", SEALED[:-2])
async def test_a_name_that_means_a_sealed_address_is_refused_naming_the_way_out(address: str) -> None:
    rules = HttpRules(resolve=TableResolver({"evil.example": [[address]]}))

    with pytest.raises(SealedNetworkError) as caught:
        await checked_destination("evil.example", 443, rules)

    assert caught.value.error_class == "invalid_request"
    for word in (f"evil.example is {address}", "http.allow_hosts", "MODELBRIDGE_HTTP_ALLOW_HOSTS"):
        assert word in str(caught.value)


async def test_one_sealed_address_among_public_ones_is_enough() -> None:
    rules = HttpRules(resolve=TableResolver({"mixed.example": [["1.1.1.1", "10.0.0.1", "8.8.8.8"]]}))

    with pytest.raises(SealedNetworkError, match=r"10\.0\.0\.1"):
        await checked_destination("mixed.example", 80, rules)


async def test_a_name_is_resolved_once_and_pinned() -> None:
    resolver = TableResolver({"rebind.example": [["1.1.1.1", "2606:4700::1"], ["127.0.0.1"]]})

    where = await checked_destination("Rebind.Example.", 443, HttpRules(resolve=resolver))

    assert (where.host, where.port, where.addresses) == ("rebind.example", 443, ("1.1.1.1", "2606:4700::1"))
    assert resolver.calls == ["rebind.example"]


async def test_a_literal_address_is_not_looked_up() -> None:
    resolver = TableResolver({})

    assert (await checked_destination("[2606:4700::0001]", 80, HttpRules(resolve=resolver))).addresses == (
        "2606:4700::1",
    )
    with pytest.raises(SealedNetworkError, match="loopback"):
        await checked_destination("127.0.0.1", 80, HttpRules(resolve=resolver))
    assert resolver.calls == []


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0x7f000001"])
async def test_other_spellings_of_an_address_are_judged_by_what_they_resolve_to(spelling: str) -> None:
    with pytest.raises(SealedNetworkError, match=r"127\.0\.0\.1"):
        await checked_destination(spelling, 80, HttpRules(resolve=TableResolver({spelling: [["127.0.0.1"]]})))


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST.", "api.localhost", "metadata.google.internal", "printer.local", "nas.home.arpa"]
)
async def test_names_of_private_networks_are_refused_without_a_look_up(name: str) -> None:
    resolver = TableResolver({name: [["1.1.1.1"]]})

    with pytest.raises(SealedNetworkError, match="private network"):
        await checked_destination(name, 80, HttpRules(resolve=resolver))
    assert resolver.calls == []


@pytest.mark.parametrize(
    ("allowed", "host", "port"),
    [
        ("kb.internal", "kb.internal", 80),
        ("KB.internal.", "kb.internal", 8443),
        ("kb.internal:8080", "kb.internal", 8080),
        ("10.0.0.5", "10.0.0.5", 80),
        ("10.0.0.5:80", "kb.internal.example", 80),
        ("[fd00::5]:80", "[fd00::5]", 80),
        ("fd00:0::5", "[fd00::5]", 443),
        ("localhost", "localhost", 3000),
    ],
)
async def test_the_operator_opens_names_and_addresses_with_or_without_a_port(
    allowed: str, host: str, port: int
) -> None:
    table = {"kb.internal": [["10.0.0.5"]], "kb.internal.example": [["10.0.0.5"]], "localhost": [["127.0.0.1", "::1"]]}
    rules = HttpRules(allow_hosts=frozenset({allowed}), resolve=TableResolver(table))

    assert (await checked_destination(host, port, rules)).addresses


@pytest.mark.parametrize(
    ("allowed", "host", "port"),
    [
        ("kb.internal:8080", "kb.internal", 80),
        ("internal", "kb.internal", 80),
        ("10.0.0.5:80", "10.0.0.5", 443),
        ("10.0.0.5", "10.0.0.50", 80),
        ("10.0.0.5", "two.example", 80),
    ],
)
async def test_an_opening_opens_nothing_else(allowed: str, host: str, port: int) -> None:
    table = {"kb.internal": [["10.0.0.5"]], "two.example": [["10.0.0.5", "10.0.0.6"]]}

    with pytest.raises(SealedNetworkError):
        await checked_destination(host, port, HttpRules(allow_hosts=frozenset({allowed}), resolve=TableResolver(table)))


@pytest.mark.parametrize("answers", [(), ((),)])
async def test_a_name_without_an_address_is_unavailable(answers: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(NodeError, match="no address") as caught:
        await checked_destination("gone.example", 80, HttpRules(resolve=TableResolver({"gone.example": answers})))

    assert caught.value.error_class == "unavailable"


async def test_no_host_is_refused() -> None:
    with pytest.raises(SealedNetworkError, match="no host"):
        await checked_destination("", 80, HttpRules())
