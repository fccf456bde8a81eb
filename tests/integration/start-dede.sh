#!/bin/bash
# Stands where the official image has a script of this name, and takes those of dede's options that are used with it.
set -euo pipefail
host=localhost port=8080
while [ $# -gt 0 ]; do
  case $1 in
    -host | --host) host=$2 ;;
    -port | --port) port=$2 ;;
    *)
      echo "start-dede.sh: the embedded server has no option $1" >&2
      exit 2
      ;;
  esac
  shift 2
done
# As with the real server every path can be read that its user may read; the container is the fence.
exec /opt/ddsim/bin/ddsim server --host "$host" --port "$port" --root / --allow-paths
