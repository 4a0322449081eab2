"""Container images for tests, built without an engine and without a network.

`busybox:local` is one layer: the machine's static busybox and a link for each of its applets. The archive
is what `docker load` and `POST /images/load` take, and it is the same bytes each time, so that every engine
it is loaded into knows it under the same image id.

    archive = busybox_archive()                  # bytes
    path = write_busybox_archive(tmp_path)       # …/busybox.tar
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

BUSYBOX_IMAGE = "busybox:local"

_DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "www")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class BusyboxMissing(FileNotFoundError):
    """This machine has no busybox (Debian: `apt-get install busybox-static`)."""


def find_busybox() -> Path:
    """Path of this machine's busybox; raises BusyboxMissing."""
    found = shutil.which("busybox", path="/bin:/usr/bin:/sbin:/usr/sbin")
    if found is None:
        raise BusyboxMissing("no busybox here; Debian has it as busybox-static")
    return Path(found)


def busybox_archive(name: str = BUSYBOX_IMAGE, *, architecture: str = "") -> bytes:
    """A `docker load` archive (Docker Engine API, ImageLoad) of one image `name`; it says that it is made for
    `architecture` (default: this machine's)."""
    layer = busybox_layer()
    config = busybox_config(layer, architecture=architecture)
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        _add_file(tar, config_name, config)
        _add_file(tar, "layer.tar", layer)
        _add_file(tar, "manifest.json", manifest)
    return archive.getvalue()


def busybox_config(layer: bytes, *, architecture: str = "", env: Mapping[str, str] = {}) -> bytes:
    """The configuration (OCI image specification, config.md) of an image of that one layer."""
    config = {
        "architecture": architecture or _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin", *(f"{name}={value}" for name, value in env.items())]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    }
    return json.dumps(config).encode()


def write_busybox_archive(folder: Path, name: str = BUSYBOX_IMAGE) -> Path:
    """Write the archive to `folder`/busybox.tar and return its path."""
    path = folder / "busybox.tar"
    path.write_bytes(busybox_archive(name))
    return path


def busybox_layer() -> bytes:
    """The tar archive of its files; the same bytes each time. Raises BusyboxMissing."""
    busybox = find_busybox()
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for directory in _DIRECTORIES:
            folder = tarfile.TarInfo(directory)
            folder.type = tarfile.DIRTYPE
            folder.mode = 0o1777 if directory == "tmp" else 0o755
            tar.addfile(folder)
        _add_file(tar, "bin/busybox", busybox.read_bytes(), mode=0o755)
        for applet in sorted(set(applets) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type = tarfile.SYMTYPE
            link.linkname = "busybox"
            tar.addfile(link)
    return layer.getvalue()


def _add_file(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    entry.mode = mode
    tar.addfile(entry, io.BytesIO(content))


def main() -> None:
    """`python tests/support/images.py FILE`: for scripts/test, which loads the image into its engine."""
    import sys

    Path(sys.argv[1]).write_bytes(busybox_archive())


if __name__ == "__main__":
    main()
