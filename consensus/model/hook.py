"""Hooks of a deployment: commands that are run once, to their end, at one of its turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct, field

from consensus.model.container import env_problems, image_problems
from consensus.model.image import Architectures, Digest, digest_problems
from consensus.model.quantity import Duration, duration_problems, duration_s
from consensus.model.run import RunPolicy

HOOK_TIMEOUT_S = 600.0


class Hook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A command in a container of its own, with the environment and the volumes of the app's new spec.

    Attributes:
        command: a text is for the shell.
        image: default: the new one; of `rollback` the one before.
        image_digest, image_architectures: as an app's, of `image`. The default's go with it.
        timeout: by default ten minutes.
        retries: how often it is tried again where it fails.
    """

    command: Annotated[str, Meta(min_length=1)] | Annotated[list[str], Meta(min_length=1)]
    image: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    image_digest: Digest = ""
    image_architectures: Architectures = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    timeout: Duration | None = None
    retries: Annotated[int, Meta(ge=0, le=100)] = 0

    @property
    def argv(self) -> list[str]:
        return ["/bin/sh", "-c", self.command] if isinstance(self.command, str) else self.command

    @property
    def policy(self) -> RunPolicy:
        timeout_s = HOOK_TIMEOUT_S if self.timeout is None else duration_s(self.timeout)
        return RunPolicy(backoff_limit=self.retries, retry_delay_s=1.0, timeout_s=timeout_s)


class Hooks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`pre` is run before anything changes, `post` when all has, `rollback` when all is as it was before.

    Where `pre` or `post` fails, the deployment has failed; a failed `rollback` is told and changes nothing.
    """

    pre: Hook | None = None
    post: Hook | None = None
    rollback: Hook | None = None

    def named(self, name: str) -> Hook | None:
        found: Hook | None = getattr(self, name)
        return found

    def problems(self) -> Iterator[tuple[str, str]]:
        for name in self.__struct_fields__:
            hook = self.named(name)
            if hook is not None:
                for path, text in duration_problems(hook, ("timeout",), positive=("timeout",)):
                    yield f"{name}.{path}", text
                yield from env_problems(f"{name}.env", hook.env)
                if hook.image is not None:
                    yield from image_problems(f"{name}.image", hook.image)
                yield from ((f"{name}.{path}", text) for path, text in digest_problems(hook))
