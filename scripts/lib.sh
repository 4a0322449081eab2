# What the scripts share: Python and the virtual environment, and packages of the system. Sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

# Where it is set, each of the hundreds of daemons and commands that a run starts compiles all its modules: 3 s of CPU.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

# Runs a command quietly; its output is shown only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -ne 0 ]; then
    say "failed ($status): $*"
    tail -n 40 "$log" >&2
  fi
  rm -f "$log"
  return "$status"
}

can_apt_install() { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; }

has_package() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'; }

apt_install() {
  say "installing: $*"
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update && quietly apt-get install -y --no-install-recommends "$@"
}

# Go, for the tests of its client; answers whether it is there.
ensure_go() {
  command -v go >/dev/null || { can_apt_install && apt_install golang-go; }
}

find_python() {
  local candidate
  for candidate in python3.13 python3.12 python3.11 python3; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "Hivemind needs Python 3.11 or newer; none of python3.13, python3.12, python3.11, python3 here is"
}

make_venv() {
  local python version
  python=$(find_python)
  if command -v uv >/dev/null; then
    quietly uv venv --quiet --clear --python "$python" "$venv"
    return
  fi
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    can_apt_install || fail "$python has no venv module; on Debian and Ubuntu: apt-get install python$version-venv"
    apt_install "python$version-venv" || fail "python$version-venv cannot be installed"
  fi
  quietly "$python" -m venv --clear "$venv"
}

# Makes .venv with the project in it, or brings it up to date if pyproject.toml changed since.
ensure_venv() {
  local stamp=$venv/.installed wanted
  wanted=$(sha256sum "$root/pyproject.toml" | cut -d ' ' -f 1)
  if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "making $venv"
    make_venv || fail "cannot make $venv"
  elif [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  say "installing Hivemind and what it needs into $venv"
  if command -v uv >/dev/null; then
    quietly uv pip install --quiet --compile-bytecode --python "$venv/bin/python" -e "$root[dev]" || fail "installation failed"
  else
    quietly "$venv/bin/python" -m pip install --quiet -e "$root[dev]" || fail "installation failed"
  fi
  printf '%s\n' "$wanted" >"$stamp"
}

# Whether an engine answers at the address (unix:///… or tcp://…).
engine_answers() {
  (cd "$root" && "$venv/bin/python" - "$1") <<'PYTHON'
import sys
from tests.support.engine_api import EngineApi
sys.exit(not EngineApi(sys.argv[1]).answers())
PYTHON
}
