"""Images for tests, made without an engine or a registry.

Not importable as a module (`--import-mode=importlib`): a conftest loads it by its path.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

BUSYBOX_IMAGE = "busybox:local"
_BUSYBOX_PATHS = (Path("/bin/busybox"), Path("/usr/bin/busybox"))
_FOLDERS = ("bin", "tmp", "etc", "www", "proc", "sys", "dev", "root", "run", "var")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def busybox_archive(name: str = BUSYBOX_IMAGE) -> bytes:
    """An archive as `docker save` makes it: one layer with the static busybox and its links.

    FileNotFoundError where busybox-static is not installed.
    """
    busybox = next((path for path in _BUSYBOX_PATHS if path.exists()), None)
    if busybox is None:
        raise FileNotFoundError("no busybox on this machine: apt-get install busybox-static")
    layer = _layer(busybox)
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    }
    encoded = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    return _tar({config_name: encoded, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()})


def _layer(busybox: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in _FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        program = tarfile.TarInfo("bin/busybox")
        program.mode = 0o755
        data = busybox.read_bytes()
        program.size = len(data)
        tar.addfile(program, io.BytesIO(data))
        applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type = tarfile.SYMTYPE
                link.linkname = "busybox"
                tar.addfile(link)
    return buffer.getvalue()


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
