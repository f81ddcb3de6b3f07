"""Faults in the body as bytes: length, chunks, compression. Bodies are streamed."""

from __future__ import annotations

import zlib
from functools import cache
from itertools import chain, repeat
from typing import TYPE_CHECKING

from fanfold.simulator.exchange import Delivery, Reply
from fanfold.simulator.faults.case import Case, kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def _head(reply: Reply, instead_of_length: bytes) -> bytes:
    """Return the head of a reply with other lines instead of Content-Length."""
    start, _, rest = reply.head().partition(b"Content-Length: ")
    return start + instead_of_length + rest.partition(b"\r\n")[2]


@kind("huge")
def _huge(case: Case) -> Delivery:
    """The correct response after ``huge_bytes`` of whitespace."""
    correct = case.correct()
    block = b" " * 65_536
    blocks, rest = divmod(case.settings.huge_bytes, len(block))
    body = chain(repeat(block, blocks), (b" " * rest + correct.body,))
    head = correct.head(length=case.settings.huge_bytes + len(correct.body))
    return Delivery(correct.status, head, more=body)


_CHUNKED = b"Transfer-Encoding: chunked\r\n"


@kind("endless")
def _endless(case: Case) -> Delivery:
    """An infinite chunked body."""
    head = _head(case.correct(), _CHUNKED)
    return Delivery(200, head, more=repeat(b"10000\r\n" + b" " * 0x10000 + b"\r\n"))


@kind("chunked")
def _chunked(case: Case) -> Delivery:
    """The correct response in chunks of seven bytes with extensions and a trailer: valid."""
    correct = case.correct()
    parts = (correct.body[at : at + 7] for at in range(0, len(correct.body), 7))
    chunks = b"".join(b"%x;part=yes\r\n%s\r\n" % (len(part), part) for part in parts)
    return Delivery(
        correct.status, _head(correct, _CHUNKED) + chunks + b"0\r\nX-Trailer: yes\r\n\r\n"
    )


@kind("bad_chunks")
def _bad_chunks(case: Case) -> Delivery:
    """A chunk with an invalid size."""
    correct = case.correct()
    payload = _head(correct, _CHUNKED) + b"many\r\n" + correct.body + b"\r\n0\r\n\r\n"
    return Delivery(correct.status, payload, close=True)


@kind("endless_chunk_size")
def _endless_chunk_size(case: Case) -> Delivery:
    """A chunk size with infinite digits."""
    return Delivery(200, _head(case.correct(), _CHUNKED), more=repeat(b"0" * 65_536))


@kind("endless_trailer")
def _endless_trailer(case: Case) -> Delivery:
    """The correct response, followed by infinite trailers."""
    correct = case.correct()
    body = b"%x\r\n%s\r\n0\r\n" % (len(correct.body), correct.body)
    return Delivery(
        correct.status, _head(correct, _CHUNKED) + body, more=repeat(b"X-Trailer: yes\r\n" * 1_000)
    )


_GZIP = b"Content-Encoding: gzip\r\n"
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # RFC 1952, 2.3: no name, no time
_BOMB_BLOCK = 1024 * 1024


def _gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(body) + packer.flush()


def _compressed(case: Case, body: bytes) -> Delivery:
    correct = case.correct()
    head = _head(correct, _GZIP + b"Content-Length: %d\r\n" % len(body))
    return Delivery(correct.status, head + body)


@kind("gzip")
def _gzip(case: Case) -> Delivery:
    """The correct response, compressed."""
    return _compressed(case, _gzipped(case.correct().body))


@kind("gzip_broken")
def _gzip_broken(case: Case) -> Delivery:
    """An uncompressed body with Content-Encoding gzip."""
    return _compressed(case, case.correct().body)


@kind("gzip_cut")
def _gzip_cut(case: Case) -> Delivery:
    """Half of the compressed body, with a matching Content-Length."""
    body = _gzipped(case.correct().body)
    return _compressed(case, body[: len(body) // 2])


@kind("gzip_bomb")
def _gzip_bomb(case: Case) -> Delivery:
    """``bomb_bytes`` of whitespace, compressed 1000:1."""
    head = _head(case.correct(), _GZIP)
    return Delivery(200, head, more=_bomb(case.settings.bomb_bytes), close=True)


@kind("gzip_nested")
def _gzip_nested(case: Case) -> Delivery:
    """``gzip_bomb``, compressed twice: a few KB."""
    head = _head(case.correct(), b"Content-Encoding: gzip, gzip\r\n")
    return Delivery(200, head, more=_packed(_bomb(case.settings.bomb_bytes)), close=True)


def _bomb(size: int) -> Iterator[bytes]:
    """Return a gzip stream without its trailer, to avoid computing the checksum."""
    return chain((_GZIP_HEAD,), repeat(_bomb_block(), -(-size // _BOMB_BLOCK)))


@cache
def _bomb_block() -> bytes:
    """Return a block that can be repeated, thanks to the full flush."""
    packer = zlib.compressobj(level=9, wbits=-15)
    return packer.compress(b" " * _BOMB_BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)


def _packed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=9, wbits=31)
    for block in blocks:
        if packed := packer.compress(block):
            yield packed
    yield packer.flush()
