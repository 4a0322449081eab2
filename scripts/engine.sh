# A Docker engine of our own for one test run, apart from any other on this machine. Sourced after lib.sh.
# shellcheck shell=bash disable=SC2154

engine_dir=
engine_pid=
engine_bridge=
engine_packages=(docker.io containerd runc iptables nftables iproute2 util-linux tini busybox-static
  gcc libc6-dev libnetfilter-queue-dev bind9-dnsutils wireguard-go wireguard-tools)

# Installs what the engine and the lab need and this machine lacks; answers whether all of it is there.
ensure_engine_packages() {
  local missing=() package
  for package in "${engine_packages[@]}"; do
    has_package "$package" || missing+=("$package")
  done
  # Where docker.io is already there under another name (docker-ce), it stays as it is.
  if command -v dockerd >/dev/null; then
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | grep -vxE 'docker\.io|containerd|runc|' || true)
  fi
  if [ "${#missing[@]}" -gt 0 ]; then
    apt_install "${missing[@]}" || return 1
  fi
  # Newer Debian has the docker command in a package of its own.
  if ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1; then
    apt_install docker-cli || return 1
  fi
}

# Starts the engine; then $engine_host is where it answers. Answers 1, with nothing left, if it cannot.
start_private_engine() {
  local number driver
  engine_dir=$(mktemp -d "${TMPDIR:-/tmp}/hivemind-engine.XXXXXX")
  engine_host=unix://$engine_dir/docker.sock
  echo '{}' >"$engine_dir/daemon.json"
  for number in $(seq 200 250 | shuf); do
    ip -o route show to match "10.$number.0.1" | grep -v '^default' | grep -q . || break
  done
  # No iptables rules and a bridge of its own: nothing to share with another engine, nothing to leave behind.
  engine_bridge=hmt$number
  ip link add "$engine_bridge" type bridge &&
    ip addr add "10.$number.0.1/24" dev "$engine_bridge" &&
    ip link set "$engine_bridge" up || { stop_private_engine; return 1; }
  for driver in overlay2 vfs; do
    setsid dockerd --host "$engine_host" --data-root "$engine_dir/data" --exec-root "$engine_dir/exec" \
      --pidfile "$engine_dir/docker.pid" --config-file "$engine_dir/daemon.json" \
      --bridge "$engine_bridge" --default-address-pool "base=10.$number.128.0/17,size=24" \
      --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
      --storage-driver "$driver" >"$engine_dir/dockerd.log" 2>&1 </dev/null &
    engine_pid=$!
    wait_for_private_engine && return
    end_private_engine
  done
  say "the private engine did not start:"
  tail -n 15 "$engine_dir/dockerd.log" >&2
  stop_private_engine
  return 1
}

wait_for_private_engine() {
  local deadline=$((SECONDS + 60))
  while [ "$SECONDS" -lt "$deadline" ] && kill -0 "$engine_pid" 2>/dev/null; do
    [ -S "$engine_dir/docker.sock" ] && engine_answers "$engine_host" && return
    sleep 0.2
  done
  return 1
}

end_private_engine() {
  local pid deadline=$((SECONDS + 30))
  [ -n "$engine_pid" ] || return 0
  pid=$(cat "$engine_dir/exec/containerd/containerd.pid" 2>/dev/null || true)
  kill -TERM "$engine_pid" 2>/dev/null || true
  while kill -0 "$engine_pid" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$engine_pid" 2>/dev/null || true
    sleep 0.1
  done
  wait "$engine_pid" 2>/dev/null || true
  engine_pid=
  if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = containerd ]; then
    kill -KILL "$pid" 2>/dev/null || true
  fi
}

remove_private_containers() {
  (cd "$root" && "$venv/bin/python" - "$engine_host") <<'PYTHON'
import sys
from tests.support.engine_api import EngineApi
EngineApi(sys.argv[1]).remove_containers({})
PYTHON
}

# Stops the engine with all of its containers, and takes its folders and its bridge away.
stop_private_engine() {
  local mount
  [ -n "$engine_dir" ] || return 0
  if [ -n "$engine_pid" ]; then
    remove_private_containers >/dev/null 2>&1 || say "the private engine kept containers to the end"
    end_private_engine
  fi
  ip link del "$engine_bridge" 2>/dev/null || true
  awk -v top="$engine_dir/" 'index($2, top) == 1 { print $2 }' /proc/self/mounts | sort -r |
    while read -r mount; do umount -l "$mount" || true; done
  rm -rf "$engine_dir"
  engine_dir=
}
