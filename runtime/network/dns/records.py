"""From a query to its answer, in wire bytes. Pure; the only user of dnspython, which takes a third of a millisecond.

Sources: RFC 1035 (messages), 2308 (negative answers), 2782 (SRV), 6891 (EDNS), 8020 (NXDOMAIN and empty answers).
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from msgspec import Struct

from consensus.state import State
from runtime.network.dns import names
from runtime.network.dns.names import Target

TTL_S = 5
PLAIN_UDP_BYTES = 512
EDNS_UDP_BYTES = 1232
"""What passes any path unfragmented (DNS flag day 2020)."""
TCP_BYTES = 65535
HEADER_BYTES = 12
_MAX_TURNS = 8
_WELL_KNOWN = {"http": 80, "https": 443, "domain": 53, "postgresql": 5432, "mysql": 3306, "redis": 6379, "amqp": 5672}


class Answer(Struct, frozen=True):
    """The message without its id, in as many orders of its records as it is worth to hand out in turn."""

    turns: tuple[bytes, ...]


class Forward(Struct, frozen=True):
    """Not ours to answer: somebody upstream knows."""


def udp_limit(query: dns.message.Message) -> int:
    """How large an answer by UDP may be."""
    if query.edns < 0:
        return PLAIN_UDP_BYTES
    return max(PLAIN_UDP_BYTES, min(query.payload, EDNS_UDP_BYTES))


def answer(state: State, dead: Set[str], wire: bytes, *, tcp: bool) -> Answer | Forward | None:
    """None: it deserves none, being no query at all."""
    if len(wire) < HEADER_BYTES or wire[2] & 0x80:
        return None
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return _refused(wire, dns.rcode.FORMERR)
    if query.opcode() != dns.opcode.QUERY:
        return _refused(wire, dns.rcode.NOTIMP)
    if len(query.question) != 1:
        return _refused(wire, dns.rcode.FORMERR)
    (question,) = query.question
    if question.rdclass != dns.rdataclass.IN:
        return _refused(wire, dns.rcode.REFUSED)
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    if not _fill(response, state, dead, question.name, question.rdtype):
        return Forward()
    return _encoded(response, TCP_BYTES if tcp else udp_limit(query))


def failure(wire: bytes) -> bytes:
    """A SERVFAIL for `wire`, without its id: nobody upstream answered."""
    return _refused(wire, dns.rcode.SERVFAIL).turns[0]


def _refused(wire: bytes, rcode: dns.rcode.Rcode) -> Answer:
    """Made by hand, since what cannot be read cannot be answered by its question."""
    flags = 0x8000 | ((wire[2] & 0x79) << 8) | 0x0080 | int(rcode)
    return Answer((flags.to_bytes(2, "big") + bytes(8),))


def _fill(response: dns.message.Message, state: State, dead: Set[str], name: dns.name.Name, rdtype: int) -> bool:
    """False: the name is not ours."""
    text = name.to_text(omit_final_dot=True).lower()
    address = names.reverse_address(text)
    if address is not None:
        return _fill_reverse(response, state, dead, name, rdtype, address)
    service, protocol, rest = _srv_parts(text)
    found = names.targets(state, dead, rest)
    if found is None:
        if not names.is_ours(text):
            return False
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif service:
        if rdtype in (dns.rdatatype.SRV, dns.rdatatype.ANY):
            _add_srv(response, name, found, service, protocol)
    else:
        _add_records(response, name, found, rdtype)
    if not response.answer:
        _add_soa(response)
    return True


def _fill_reverse(
    response: dns.message.Message, state: State, dead: Set[str], name: dns.name.Name, rdtype: int, address: str
) -> bool:
    pointer = names.pointer(state, dead, address)
    if pointer is None and not names.in_ranges(state, address):
        return False
    if pointer is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif rdtype in (dns.rdatatype.PTR, dns.rdatatype.ANY):
        _add(response.answer, name, "PTR", [f"{pointer}."])
    if not response.answer:
        _add_soa(response)
    return True


def _srv_parts(text: str) -> tuple[str, str, str]:
    """`_http._tcp.web.local` → http, tcp, web.local; ("", "", text) for any other name."""
    first, _, rest = text.partition(".")
    second, _, rest = rest.partition(".")
    if first.startswith("_") and second in ("_tcp", "_udp") and rest:
        return first[1:], second[1:], rest
    return "", "", text


def _add_records(response: dns.message.Message, name: dns.name.Name, found: tuple[Target, ...], rdtype: int) -> None:
    if rdtype in (dns.rdatatype.A, dns.rdatatype.ANY):
        _add(response.answer, name, "A", [each.address for each in found])
    if rdtype in (dns.rdatatype.AAAA, dns.rdatatype.ANY):
        _add(response.answer, name, "AAAA", [each.address6 for each in found if each.address6])
    if rdtype in (dns.rdatatype.TXT, dns.rdatatype.ANY):
        _add(response.answer, name, "TXT", [_txt(each) for each in found if each.task_id])
    if rdtype == dns.rdatatype.SRV:
        _add_srv(response, name, found, "", "")


def _txt(target: Target) -> str:
    ports = ",".join(f"{port}/{protocol}" for protocol, _, port in target.ports)
    facts = {"task": target.task_id, "app": target.app, "node": target.node_id, "ports": ports}
    return " ".join(f'"{key}={value}"' for key, value in facts.items() if value)


def _add_srv(
    response: dns.message.Message, name: dns.name.Name, found: tuple[Target, ...], service: str, protocol: str
) -> None:
    """The ports that the service's name stands for, where a target has them; else all of the protocol."""
    number = int(service) if service.isdecimal() else _WELL_KNOWN.get(service)
    spoken = [
        (each, port, number == container_port)
        for each in found
        for spoken, container_port, port in each.ports
        if each.task_id and protocol in ("", spoken)
    ]
    exact = [each for each in spoken if each[2]]
    if service.isdecimal():
        spoken = exact
    records = [(target, port) for target, port, _ in exact or spoken]
    _add(response.answer, name, "SRV", [f"0 1 {port} {names.canonical(target)}." for target, port in records])
    for target in dict.fromkeys(target for target, _ in records):
        owner = dns.name.from_text(f"{names.canonical(target)}.")
        _add(response.additional, owner, "A", [target.address])
        _add(response.additional, owner, "AAAA", [target.address6] if target.address6 else [])


def _add(section: list[Any], name: dns.name.Name, rdtype: str, texts: list[str]) -> None:
    if texts:
        section.append(dns.rrset.from_text_list(name, TTL_S, "IN", rdtype, texts))


def _add_soa(response: dns.message.Message) -> None:
    """How long there being nothing may be remembered (RFC 2308 §3)."""
    soa = f"ns.local. hostmaster.local. 1 {TTL_S} {TTL_S} {TTL_S} {TTL_S}"
    _add(response.authority, dns.name.from_text("local."), "SOA", [soa])


def _encoded(response: dns.message.Message, limit: int) -> Answer:
    turns = []
    for _ in range(min(_MAX_TURNS, max((len(rrset) for rrset in response.answer), default=1))):
        try:
            turns.append(response.to_wire(max_size=limit, want_shuffle=False)[2:])
        except dns.exception.TooBig:
            return Answer((_truncated(response),))
        response.answer = [_turned(rrset) for rrset in response.answer]
    return Answer(tuple(turns))


def _turned(rrset: dns.rrset.RRset) -> dns.rrset.RRset:
    """The first record goes last: clients take the first, so that each gets its turn."""
    first, *others = rrset
    return dns.rrset.from_rdata_list(rrset.name, TTL_S, [*others, first])


def _truncated(response: dns.message.Message) -> bytes:
    """With nothing but its question: half a set of records would be taken for the whole (RFC 2181 §9)."""
    response.answer, response.authority, response.additional = [], [], []
    response.flags |= dns.flags.TC
    return response.to_wire(max_size=PLAIN_UDP_BYTES)[2:]
