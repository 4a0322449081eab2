"""How a client says who it is: a token (JWT or API key) or a username and password."""

from __future__ import annotations

import base64

from msgspec import Struct


class Token(Struct, frozen=True):
    token: str

    @property
    def header(self) -> str:
        return f"Bearer {self.token}"


class Basic(Struct, frozen=True):
    username: str
    password: str

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


Credentials = Token | Basic
