"""What goes wrong with the kernel's rules."""


class NftError(Exception):
    """The kernel, or the command, refused."""
