"""Frames: each message on a connection is four bytes of length, big-endian, and the message.

Sans-I/O: bytes in, whole messages out. The length is judged before anything is stored for it, so
that a number from the wire never allocates (A13, C4).
"""

from __future__ import annotations

from typing import Final

from tallynet.errors import RemoteProtocolError
from tallynet.limits import FRAME_BYTES_MAX, HANDSHAKE_FRAME_BYTES_MAX

__all__ = ["HEADER_BYTES", "FrameReader", "frame"]

HEADER_BYTES: Final = 4


def frame(message: bytes) -> bytes:
    """`message` as it travels.

    Raises:
        ValueError: the message is empty or longer than any receiver takes; a local fault.
    """
    if not 0 < len(message) <= FRAME_BYTES_MAX:
        raise ValueError(f"{len(message)} bytes; a frame holds 1 to {FRAME_BYTES_MAX}")
    return len(message).to_bytes(HEADER_BYTES, "big") + message


class FrameReader:
    """Cuts a byte stream into messages. After an error it is dead: every later `feed` raises."""

    __slots__ = ("_buffer", "_dead", "_limit", "_needed")

    def __init__(self, limit: int = HANDSHAKE_FRAME_BYTES_MAX) -> None:
        """`limit` is the largest message taken, in bytes; it starts at what strangers may send."""
        self._limit = limit
        self._buffer: Final = bytearray()
        self._needed = HEADER_BYTES
        """Bytes that must be in the buffer before there is anything to do."""
        self._dead: RemoteProtocolError | None = None

    @property
    def waiting_for(self) -> int:
        """Size in bytes of the frame that has begun, header included; 0 between frames."""
        return self._needed if self._buffer else 0

    def raise_limit(self, limit: int) -> None:
        """The other side is authenticated: take larger messages from here on."""
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, in order; an incomplete rest is kept.

        Raises:
            RemoteProtocolError: FRAME_TOO_LARGE or FRAME_EMPTY; nothing of `data` is delivered.
        """
        if self._dead is not None:
            raise self._dead
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._needed:
                return []
            messages, end = self._cut(bytes(buffer))
            del buffer[:end]
        else:
            messages, end = self._cut(data)
            if end < len(data):
                buffer += data[end:]
        return messages

    def _cut(self, data: bytes) -> tuple[list[bytes], int]:
        """Whole messages in `data` and where they end; sets what the next one needs."""
        messages: list[bytes] = []
        start, size = 0, len(data)
        self._needed = HEADER_BYTES
        while size - start >= HEADER_BYTES:
            length = int.from_bytes(data[start : start + HEADER_BYTES], "big")
            if not 0 < length <= self._limit:
                raise self._refuse(length)
            end = start + HEADER_BYTES + length
            if end > size:
                self._needed = HEADER_BYTES + length
                break
            messages.append(data[start + HEADER_BYTES : end])
            start = end
        return messages, start

    def _refuse(self, length: int) -> RemoteProtocolError:
        if length:
            text = f"a frame of {length} bytes; at most {self._limit} are taken here"
            self._dead = RemoteProtocolError("FRAME_TOO_LARGE", text)
        else:
            self._dead = RemoteProtocolError("FRAME_EMPTY", "a frame without a message")
        self._buffer.clear()
        return self._dead
