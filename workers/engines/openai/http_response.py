"""One HTTP response: its body in pieces, decompressed and with classed failures."""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Iterator

from . import errors

PIECE = 1 << 16
ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 47}


class HttpResponse:
    """A response whose headers arrived. Close it after use, best by `with`."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        length = response.length
        self._left = length if length is not None and not response.chunked else None

    def __enter__(self) -> HttpResponse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._response.close()

    @property
    def content_type(self) -> str:
        """The media type, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, decompressed. Raises WorkerFailure."""
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding in ("", "identity"):
            yield from self._raw_pieces()
        elif encoding in ENCODINGS:
            yield from self._decompressed(ENCODINGS[encoding])
        else:
            raise errors.protocol_error(f"its answer has the unknown encoding {encoding[:40]!r}")

    def read(self, limit: int) -> bytes:
        """The body up to `limit` bytes."""
        data = bytearray()
        for piece in self.pieces():
            data += piece
            if len(data) >= limit:
                break
        return bytes(data[:limit])

    def _raw_pieces(self) -> Iterator[bytes]:
        while self._left != 0:
            try:
                size = PIECE if self._left is None else min(PIECE, self._left)
                piece = self._response.read1(size)
            except (OSError, http.client.HTTPException) as error:
                raise errors.connection_lost(error) from error
            if not piece:
                break
            if self._left is not None:
                self._left -= len(piece)
            yield piece
        if self._left:
            raise errors.connection_lost()

    def _decompressed(self, window_bits: int) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(window_bits)
        try:
            for piece in self._raw_pieces():
                data = piece
                while data and not unpacker.eof:
                    if out := unpacker.decompress(data, PIECE):
                        yield out
                    data = unpacker.unconsumed_tail
        except zlib.error as error:
            raise errors.protocol_error(f"its answer is damaged: {error}") from error
        if not unpacker.eof:
            raise errors.connection_lost()
