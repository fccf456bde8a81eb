# Sourced by the other scripts: makes .venv with ddsim in it and puts it first in PATH.
# usage: . scripts/venv.sh [dependency group of pyproject.toml] [further extras, such as photos]
# A second run notices that nothing changed and installs nothing.

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "No Python 3.10 or later found. Install one, or name it: PYTHON=/path/to/python $0" >&2
  return 1
}

make_venv() {
  local group=${1:-} extras=${2:-} python stamp
  # Nothing that needs an extra may be skipped where tests run.
  [ "$group" != dev ] || extras=photos,heic,remote,parquet
  stamp=.venv/.installed-${group:-base}${extras:+-$extras}-$(cksum <pyproject.toml | tr -d ' ')
  if [ ! -x .venv/bin/python ]; then
    python=$(find_python) || return 1
    echo "==> making .venv with $("$python" --version)"
    "$python" -m venv .venv || {
      echo "Could not make a virtual environment (on Debian and Ubuntu: apt install python3-venv)." >&2
      rm -rf .venv
      return 1
    }
  fi
  if [ ! -e "$stamp" ]; then
    echo "==> installing ddsim${group:+ and its $group tools} into .venv (takes a minute the first time)"
    # Dependency groups need pip 25.1.
    .venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1' || return 1
    .venv/bin/python -m pip install --quiet --editable ".[embedded,web${extras:+,$extras}]" ${group:+--group "$group"} || return 1
    rm -f .venv/.installed-"${group:-base}${extras:+-$extras}"-*
    touch "$stamp"
  fi
  PATH=$PWD/.venv/bin:$PATH
}

make_venv "$@"
