#!/bin/bash
# Docker for the build and the tests, on a machine that may have none of it.
#
#   . packaging/dev/docker-env.sh      as a library: ensure_dockerd; …; stop_dockerd
#   packaging/dev/docker-env.sh start  prints the pid of the dockerd that it had to start, or an empty line
#   packaging/dev/docker-env.sh stop PID
#   packaging/dev/docker-env.sh base debian:trixie-slim trixie
#   packaging/dev/docker-env.sh buildkit  prints the client program that can build with BuildKit
#
# A dockerd that runs already is used and is never stopped. The Debian mirror is the one that this
# machine's apt uses; a machine that reaches a registry pulls the base images instead of making them.
set -euo pipefail

DOCKERD_PID=
DOCKERD_LOG=

docker_say() { printf '%s\n' "docker-env: $*" >&2; }

# Prints the first archive address in apt's sources (both file formats) that ends like $1.
apt_uri() {
  local files=() f
  for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -r "$f" ] && files+=("$f")
  done
  [ ${#files[@]} -gt 0 ] || return 0
  awk -v want="$1" '
    $1 == "URIs:" { uri = $2 }
    $1 == "deb"   { uri = $2; if ($2 ~ /^\[/) { for (i = 2; i < NF && $i !~ /\]$/; i++); uri = $(i + 1) } }
    uri ~ want && !seen { print uri; seen = 1 }' "${files[@]}"
}
apt_mirror() { apt_uri '/debian/?$'; }
apt_security() { apt_uri 'debian-security/?$'; }

# Installs Debian packages that are missing; the package lists are fetched at most once.
APT_UPDATED=
apt_ensure() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    docker_say "these packages are missing and installing them needs root: ${missing[*]}"
    return 77
  fi
  docker_say "installing ${missing[*]}"
  if [ -z "$APT_UPDATED" ]; then
    apt-get -o Acquire::Retries=3 update -qq >/dev/null || docker_say "apt-get update failed, using the old lists"
    APT_UPDATED=1
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# A machine without an init system may have no cgroups mounted; they stay mounted afterwards, as on any other machine.
ensure_cgroups() {
  mountpoint -q /sys/fs/cgroup && return 0
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  local c
  for c in $(awk '!/^#/ && $4 == 1 {print $1}' /proc/cgroups); do
    mkdir -p "/sys/fs/cgroup/$c"
    mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/$c" 2>/dev/null || rmdir "/sys/fs/cgroup/$c"
  done
}

docker_answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Afterwards `docker` works. DOCKERD_PID is set when this call started the daemon, else empty.
ensure_dockerd() {
  DOCKERD_PID=
  if command -v docker >/dev/null && docker_answers; then return 0; fi
  if [ "$(id -u)" != 0 ]; then
    docker_say "no Docker daemon answers, and starting one needs root"
    return 77
  fi
  command -v dockerd >/dev/null || apt_ensure docker.io iptables iproute2 ca-certificates
  # From Debian 13 on the client is a package of its own.
  command -v docker >/dev/null || apt_ensure docker-cli
  ensure_cgroups
  DOCKERD_LOG=$(mktemp /tmp/dockerd.XXXXXX.log)
  setsid dockerd >"$DOCKERD_LOG" 2>&1 </dev/null &
  DOCKERD_PID=$!
  local deadline=$((SECONDS + 60))
  while [ $SECONDS -lt $deadline ] && kill -0 "$DOCKERD_PID" 2>/dev/null; do
    if docker_answers; then
      rm -f "$DOCKERD_LOG" # The daemon keeps writing to the unlinked file; nothing is left behind.
      return 0
    fi
    sleep 0.2
  done
  docker_say "dockerd did not start:"
  tail -n 20 "$DOCKERD_LOG" >&2
  return 1
}

# Stops the daemon that ensure_dockerd started (or the one whose pid is given); leaves any other alone.
stop_dockerd() {
  local pid=${1:-$DOCKERD_PID} deadline=$((SECONDS + 30))
  [ -n "$pid" ] || return 0
  DOCKERD_PID=
  kill "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do
    if [ $SECONDS -ge $deadline ]; then
      kill -9 "$pid" 2>/dev/null || true
      return 0
    fi
    sleep 0.2
  done
}

# The containers' own apt sources: this machine's mirror, with the updates and security suites.
write_sources() { # DIRECTORY SUITE
  local mirror security
  mirror=$(apt_mirror)
  security=$(apt_security)
  {
    [ -z "$mirror" ] || printf 'deb %s %s main\ndeb %s %s-updates main\n' "$mirror" "$2" "$mirror" "$2"
    [ -z "$security" ] || printf 'deb %s %s-security main\n' "$security" "$2"
  } >"$1/etc/apt/sources.list.new"
  if [ -s "$1/etc/apt/sources.list.new" ]; then
    mv "$1/etc/apt/sources.list.new" "$1/etc/apt/sources.list"
  else
    rm "$1/etc/apt/sources.list.new"
  fi
}

# Afterwards the image TAG (debian:SUITE-slim) is present: found, pulled, or made with debootstrap.
ensure_base() { # TAG SUITE
  docker image inspect "$1" >/dev/null 2>&1 && return 0
  timeout 120 docker pull -q "$1" >/dev/null 2>&1 && return 0
  local root mirror
  apt_ensure debootstrap
  mirror=$(apt_mirror)
  root=$(mktemp -d)
  docker_say "making $1 with debootstrap"
  if ! debootstrap --variant=minbase --include=ca-certificates "$2" "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1; then
    tail -n 20 "$root.log" >&2
    rm -rf "$root" "$root.log"
    return 1
  fi
  write_sources "$root" "$2"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{man,locale}/*
  find "$root/usr/share/doc" -type f ! -name copyright -delete
  tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$1" >/dev/null
  rm -rf "$root" "$root.log"
}

# Prints the client that builds with BuildKit. A client newer than 22 needs the buildx plug-in for that; Debian 12's does not.
buildkit_client() {
  local client major
  for client in $(type -a -p docker | awk '!seen[$0]++') /usr/bin/docker; do
    [ -x "$client" ] || continue
    if "$client" buildx version >/dev/null 2>&1; then printf '%s\n' "$client"; return 0; fi
    major=$("$client" version --format '{{.Client.Version}}' 2>/dev/null | cut -d. -f1)
    if [ -n "$major" ] && [ "$major" -lt 23 ]; then printf '%s\n' "$client"; return 0; fi
  done
  docker_say "no client here can use BuildKit (install docker-buildx)"
  return 1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  case "${1:-}" in
    start) ensure_dockerd; printf '%s\n' "$DOCKERD_PID" ;;
    stop) stop_dockerd "${2:?pid}" ;;
    base) ensure_base "${2:?tag}" "${3:?suite}" ;;
    buildkit) buildkit_client ;;
    install) shift; apt_ensure "$@" ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
fi
