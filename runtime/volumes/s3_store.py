"""Backups in an S3 store, below the schedule's part of a prefix.

botocore works in worker threads, and is imported when a store is first used: that takes 0.3 s and 40 MiB.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import structlog
import trio

from consensus.model.backup import S3Target
from runtime.volumes.backup_store import Stored, StoreError

log = structlog.get_logger()

T = TypeVar("T")
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
ATTEMPTS = 4
ABORT_TIMEOUT_S = 15.0
SMALL_PARTS = 5000
_MIB = 1 << 20
_READ_BYTES = 256 * 1024


def part_bytes(number: int) -> int:
    """How large part `number` (from 1) is. S3 takes 10,000: enough for 390 GiB, with one part in memory at a time."""
    return 16 * _MIB if number <= SMALL_PARTS else 64 * _MIB


class S3Store:
    """Implements BackupStore. Parts that are not completed are no object, so nobody takes them for a backup."""

    def __init__(self, target: S3Target, secret_key: str | None, schedule: str) -> None:
        self._target = target
        self._secret_key = secret_key
        prefix = target.prefix if not target.prefix or target.prefix.endswith("/") else target.prefix + "/"
        self._prefix = f"{prefix}{schedule}/"
        self._made: Any = None

    async def stored(self) -> list[Stored]:
        return await self._in_thread(self._stored)

    def _stored(self) -> list[Stored]:
        found = []
        listing = self._client().get_paginator("list_objects_v2")
        for page in listing.paginate(Bucket=self._target.bucket, Prefix=self._prefix, Delimiter="/"):
            for item in page.get("Contents", ()):
                found.append(Stored(item["Key"].removeprefix(self._prefix), item["Size"]))
        return found

    async def clear(self) -> None:
        await self._in_thread(self._clear)

    def _clear(self) -> None:
        listing = self._client().get_paginator("list_multipart_uploads")
        for page in listing.paginate(Bucket=self._target.bucket, Prefix=self._prefix):
            for upload in page.get("Uploads", ()):
                self._abort(upload["Key"], upload["UploadId"])

    async def write(self, name: str, pieces: AsyncIterator[bytes]) -> int:
        key = self._prefix + name
        buffer, size, upload_id = bytearray(), 0, ""
        parts: list[dict[str, Any]] = []

        async def send(data: bytes) -> None:
            parts.append(await self._in_thread(self._send, key, upload_id, len(parts) + 1, data))

        try:
            async for piece in pieces:
                buffer += piece
                size += len(piece)
                while len(buffer) >= (most := part_bytes(len(parts) + 1)):
                    upload_id = upload_id or await self._in_thread(self._begin, key)
                    await send(bytes(buffer[:most]))
                    del buffer[:most]
            if not upload_id:
                await self._in_thread(self._put, key, bytes(buffer))
                return size
            if buffer:
                await send(bytes(buffer))
            await self._in_thread(self._complete, key, upload_id, parts)
        except BaseException:
            if upload_id:
                await self._give_up(key, upload_id)
            raise
        return size

    def _begin(self, key: str) -> str:
        return str(self._client().create_multipart_upload(Bucket=self._target.bucket, Key=key)["UploadId"])

    def _send(self, key: str, upload_id: str, number: int, data: bytes) -> dict[str, Any]:
        answer = self._client().upload_part(
            Bucket=self._target.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data
        )
        return {"ETag": answer["ETag"], "PartNumber": number}

    def _put(self, key: str, data: bytes) -> None:
        self._client().put_object(Bucket=self._target.bucket, Key=key, Body=data)

    def _complete(self, key: str, upload_id: str, parts: list[dict[str, Any]]) -> None:
        self._client().complete_multipart_upload(
            Bucket=self._target.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )

    def _abort(self, key: str, upload_id: str) -> None:
        self._client().abort_multipart_upload(Bucket=self._target.bucket, Key=key, UploadId=upload_id)

    async def _give_up(self, key: str, upload_id: str) -> None:
        """What stays all the same is no object, and the next backup's `clear` takes it away."""
        with trio.move_on_after(ABORT_TIMEOUT_S, shield=True):
            try:
                await self._in_thread(self._abort, key, upload_id)
            except StoreError as error:
                log.warning("backup_parts_left", key=key, reason=str(error))

    async def remove(self, name: str) -> None:
        await self._in_thread(lambda: self._client().delete_object(Bucket=self._target.bucket, Key=self._prefix + name))

    @asynccontextmanager
    async def read(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        key = self._prefix + name
        answer = await self._in_thread(lambda: self._client().get_object(Bucket=self._target.bucket, Key=key))
        body = answer["Body"]
        try:
            yield self._pieces(body)
        finally:
            body.close()

    async def _pieces(self, body: Any) -> AsyncIterator[bytes]:
        while piece := await self._in_thread(body.read, _READ_BYTES):
            yield piece

    def _client(self) -> Any:
        if self._made is None:
            from botocore.config import Config
            from botocore.session import Session

            target = self._target
            self._made = Session().create_client(
                "s3",
                region_name=target.region,
                endpoint_url=target.endpoint,
                aws_access_key_id=target.access_key_id,
                aws_secret_access_key=self._secret_key,
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                    # Stores other than AWS's often know neither host names of buckets nor the newer checksums.
                    s3={"addressing_style": "auto" if target.endpoint is None else "path"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        return self._made

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        def told() -> T:
            with self._told():
                return work(*arguments)

        # A stop must not wait for a store that does not answer; what the thread still does harms nobody.
        return await trio.to_thread.run_sync(told, abandon_on_cancel=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"bucket {self._target.bucket!r} at {self._target.endpoint or 'AWS'}"
        try:
            yield
        except ClientError as error:
            answer = error.response.get("Error", {})
            raise StoreError(
                f"{where}: {error.operation_name} was answered {answer.get('Code', '?')}: {answer.get('Message', '')}"
            ) from error
        except (BotoCoreError, OSError) as error:
            raise StoreError(f"{where}: {error}") from error
