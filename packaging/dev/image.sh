#!/bin/bash
# ./dev image [TAG]: builds the image ntp-server:TAG (TAG is what the file VERSION says unless given), once.
#
# A tag is never reused: who runs ntp-server:V0.1 anywhere runs the same bytes. The image gets its tag only after
# the program inside, the label and the tag were seen to agree.
#
#   IMAGE=registry.example.com/time/ntp-server ./dev image V0.1    another name than ntp-server
#   BASE=debian:bookworm-slim ./dev image V0.1                     another base for the build stage (no AES-128-GCM-SIV)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=packaging/dev/docker-env.sh
. "$here/docker-env.sh"

image=${IMAGE:-ntp-server}
base=${BASE:-debian:trixie-slim}
tag=${1:-$(head -n 1 "$root/VERSION")}
draft="$image:draft-$$"

fail() { printf 'image: %s\n' "$1" >&2; exit "${2:-1}"; }

case "${1:-}" in
  -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
[ $# -le 1 ] || fail "one tag at most, not $#" 2
[[ $tag =~ ^V[0-9][A-Za-z0-9_.-]{0,100}$ ]] || fail "'$tag' is not a version; use one such as V0.1" 2

# What the image under test states about itself, in both places.
check_versions() {
  local program label
  program=$(docker run --rm --network none "$draft" version) || fail "the program in the new image does not start" 70
  label=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' "$draft")
  [[ "$program" = "ntp-server $tag" || "$program" = "ntp-server $tag "* ]] || fail "the program says '$program', the tag is $tag" 70
  [ "$label" = "$tag" ] || fail "the label says '$label', the tag is $tag" 70
}

clean_up() {
  docker image rm --no-prune "$draft" >/dev/null 2>&1 || true
  stop_dockerd
}

ensure_dockerd
trap clean_up EXIT
if docker image inspect "$image:$tag" >/dev/null 2>&1; then
  fail "$image:$tag exists already and tags are never reused; raise VERSION or give another tag (docker image rm $image:$tag if it was never handed out)" 73
fi

suite=${base#debian:}
ensure_base "$base" "${suite%-slim}"
if client=$(buildkit_client 2>/dev/null); then
  export DOCKER_BUILDKIT=1
else
  # The older builder drops the file capability, which only the host network needs.
  client=docker
  export DOCKER_BUILDKIT=0
fi
"$client" build --build-arg "BASE=$base" --build-arg "VERSION=$tag" \
  --build-arg "REVISION=$(git -c safe.directory="$root" -C "$root" rev-parse HEAD 2>/dev/null || true)" --tag "$draft" "$root"
check_versions
docker tag "$draft" "$image:$tag"
bytes=$(docker image inspect --format '{{.Size}}' "$image:$tag")
printf '%s:%s  program, label and tag agree  %s bytes (%s MB)\n' "$image" "$tag" "$bytes" \
  "$(awk -v b="$bytes" 'BEGIN { printf "%.1f", b / 1e6 }')"
