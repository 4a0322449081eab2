"""Msgpack in the place of pickle in PySyncObj.

The library imports its pickle shim into `pysyncobj.syncobj` and `pysyncobj.serializer`, and unpickles what peers
send: remote code execution for anybody who reaches it. What we use of the library needs no serialisation of its
own any more; should a path of it that we do not know of want some, it gets plain msgpack types or an error.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import msgpack  # type: ignore[import-untyped]


class PlainCodec:
    """The face of the `pickle` module that the library uses, for plain types only."""

    @staticmethod
    def to_bytes(data: bytes | str) -> bytes:
        return data if isinstance(data, bytes) else data.encode()

    @staticmethod
    def dumps(value: Any, protocol: int | None = None) -> bytes:
        packed: bytes = msgpack.packb(value)
        return packed

    @staticmethod
    def loads(data: bytes) -> Any:
        return msgpack.unpackb(data, strict_map_key=False)

    @classmethod
    def dump(cls, value: Any, file: BinaryIO, protocol: int | None = None) -> None:
        file.write(cls.dumps(value))

    @classmethod
    def load(cls, file: BinaryIO) -> Any:
        return cls.loads(file.read())
