#!/usr/bin/env bash
# Runs tests/integration on a real Docker engine, and fails where none can be had. Arguments go to pytest.
#
# No image registry is needed: the server's image is built here, of a Debian made by debootstrap and of ddsim with its
# embedded server. Where no engine runs, root gets one (Debian or Ubuntu), which is stopped at the end. Its images are
# kept in ${XDG_CACHE_HOME:-~/.cache}/ddsim-ci, so that the second run is quicker.
set -euo pipefail
cd "$(dirname "$0")/.."

SUITE=bookworm
PYTHON_OF_SUITE=3.11
BASE=ddsim-base:$SUITE
IMAGE=ddsim-embedded
WHEELS=tests/integration/wheels
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ddsim-ci
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ddsim-ci.XXXXXX")
engine=

end() {
  local code=$?
  rm -f "$WHEELS"/*.whl
  if [ -n "$engine" ]; then
    # The containers end with it; its data stays for the next run.
    kill "$engine" 2>/dev/null || true
    wait "$engine" || true
  fi
  rm -rf --one-file-system "$scratch"
  exit $code
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { echo "==> $*"; }

have() { command -v "$1" >/dev/null 2>&1; }

install_what_is_missing() {
  local packages=()
  have docker && have dockerd || packages+=(docker.io)
  have docker-compose || docker compose version >/dev/null 2>&1 || packages+=(docker-compose)
  have debootstrap || packages+=(debootstrap)
  if [ ${#packages[@]} -gt 0 ]; then
    say "installing ${packages[*]}"
    apt-get update --quiet --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${packages[@]}" \
      >"$scratch/apt.log" 2>&1 || {
      tail -n 30 "$scratch/apt.log" >&2
      return 1
    }
  fi
}

start_engine() {
  if docker version >/dev/null 2>&1; then
    say "using the engine that runs already"
    return
  fi
  say "starting an engine"
  mkdir -p "$cache/engine"
  export DOCKER_HOST=unix://$scratch/docker.sock
  dockerd --host "$DOCKER_HOST" --data-root "$cache/engine" --exec-root "$scratch/exec" --pidfile "$scratch/pid" \
    >"$scratch/dockerd.log" 2>&1 &
  engine=$!
  for _ in $(seq 120); do
    docker version >/dev/null 2>&1 && break
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.5
  done
  docker version >/dev/null 2>&1 && clear_up && return
  echo "No Docker engine could be started here (root and Linux's namespaces, cgroups and iptables are needed):" >&2
  tail -n 30 "$scratch/dockerd.log" >&2
  return 1
}

# In an engine of our own: what a run that was killed left behind, and layers that no image has needed for a day.
clear_up() {
  docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  docker volume prune --force >/dev/null
  docker volume ls --quiet --filter label=ddsim.server | xargs --no-run-if-empty docker volume rm >/dev/null
  docker image prune --force --filter until=24h >/dev/null
}

# The mirror that apt uses here, or nothing: debootstrap knows one of its own.
mirror() {
  apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v suite="$SUITE" '$1 == suite { print $2; exit }'
}

make_base() {
  docker image inspect "$BASE" >/dev/null 2>&1 && return
  say "making $BASE"
  local proxy=
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
  # shellcheck disable=SC2046  # no argument where there is no mirror
  http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase --include=python3-venv,curl "$SUITE" "$scratch/base" \
    $(mirror) >"$scratch/debootstrap.log" 2>&1 || {
    tail -n 30 "$scratch/debootstrap.log" >&2
    return 1
  }
  rm -rf "$scratch"/base/var/cache/apt/archives/*.deb "$scratch"/base/var/lib/apt/lists/*
  tar --create --one-file-system --directory "$scratch/base" . | docker import - "$BASE" >/dev/null
  rm -rf --one-file-system "$scratch/base"
}

# By pip on the host, with whatever index, proxy and certificates it is configured for: none of that gets into an image.
collect_wheels() {
  say "collecting wheels"
  local machine platforms=() wheel
  machine=$(uname -m)
  for wheel in manylinux_2_36 manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${wheel}_$machine")
  done
  rm -f "$WHEELS"/*.whl
  {
    python -m pip wheel --no-deps --wheel-dir "$WHEELS" . &&
      wheel=$(echo "$WHEELS"/deepdetect_visual_search-*.whl) &&
      python -m pip download --dest "$WHEELS" --only-binary :all: --implementation cp \
        --python-version "$PYTHON_OF_SUITE" "${platforms[@]}" "./$wheel[embedded,local,web]"
  } >"$scratch/pip.log" 2>&1 || {
    tail -n 30 "$scratch/pip.log" >&2
    return 1
  }
}

build_image() {
  say "building $IMAGE and ddsim-web"
  local compose=(docker-compose)
  docker compose version >/dev/null 2>&1 && compose=(docker compose)
  DDSIM_BASE_IMAGE=$BASE "${compose[@]}" --profile embedded --profile page build deepdetect-embedded web \
    >"$scratch/build.log" 2>&1 || {
    tail -n 40 "$scratch/build.log" >&2
    return 1
  }
}

. scripts/venv.sh dev
install_what_is_missing
start_engine
make_base
collect_wheels
build_image
say "pytest tests/integration"
DDSIM_DEEPDETECT_IMAGE=$IMAGE DDSIM_REQUIRE_DOCKER=1 pytest tests/integration "$@"
