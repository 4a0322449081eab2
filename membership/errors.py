"""Everything this package raises.

```
MembershipError
├── ConfigError (also ValueError)        a setting that cannot work, with its reason
├── MetaTooLarge (also ValueError)       meta or vitals above their bound
├── KeyringError (also ValueError)       a bad key, or a key that may not be removed
├── NotRunning                           the driver's run() is not in progress
├── ExchangeRefused                      the other member answered with a refusal
└── CodecError (also ValueError)         bytes that are not one of our messages
    ├── NotSealedForUs                   no key of the keyring opens the packet
    └── VersionMismatch                  the sender speaks no protocol version that we speak
```
"""

from __future__ import annotations


class MembershipError(Exception):
    """The root of the tree."""


class ConfigError(MembershipError, ValueError):
    """A setting, or a combination of settings, that cannot work; the message says why."""


class MetaTooLarge(MembershipError, ValueError):
    """Meta or vitals are larger than a packet may carry."""


class KeyringError(MembershipError, ValueError):
    """A key of the wrong length, an unknown key, or the removal of the key in use."""


class NotRunning(MembershipError):
    """The operation needs `Membership.run` to be in progress."""


class ExchangeRefused(MembershipError):
    """The other member refused an exchange, and said why."""


class CodecError(MembershipError, ValueError):
    """Bytes that do not decode to one of our messages within its bounds."""


class NotSealedForUs(CodecError):
    """No key of our keyring opens the packet: junk, or another cluster's."""


class VersionMismatch(CodecError):
    """The sender's range of protocol versions and ours do not overlap."""
