#!/usr/bin/env bash
# Run a command as a shell would in which ROS 2, .venv and what colcon built have been sourced.
#
#   UNDERLAY=path   the setup.bash to stand on (default: that of ROS_DISTRO)
#
# ROS's own scripts read variables that are not set, so this one cannot forbid it throughout.
set -eo pipefail

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
underlay=${UNDERLAY:-/opt/ros/${ROS_DISTRO:-none}/setup.bash}
overlay=$root/build/install/local_setup.bash

if [[ -n ${UNDERLAY:-} && ! -f $UNDERLAY ]]; then
    echo "entrypoint.sh: UNDERLAY: no such file: $UNDERLAY" >&2
    exit 1
fi
# shellcheck disable=SC1090
[[ -f $underlay ]] && source "$underlay"
# shellcheck disable=SC1091
[[ -f $root/.venv/bin/activate ]] && source "$root/.venv/bin/activate"
# shellcheck disable=SC1090
[[ -f $overlay ]] && source "$overlay"

exec "$@"
