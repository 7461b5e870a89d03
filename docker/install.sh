#!/usr/bin/env bash
# What an image needs beside the repository; root runs it once, in the repository's folder, while the
# image is built. What ROS 2 brings is what the package.xml files name.
#
#   install.sh [APT_PACKAGE...]   ROS_DISTRO names the ROS 2; without it, none is installed
set -euo pipefail

user=robot
uid=1000
packages=(make "$@")
if [[ -n ${ROS_DISTRO:-} ]]; then
    packages+=(python3-venv python3-colcon-common-extensions python3-rosdep "ros-$ROS_DISTRO-ros-base")
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "${packages[@]}"
if [[ -n ${ROS_DISTRO:-} ]]; then
    [[ -d /etc/ros/rosdep/sources.list.d ]] || rosdep init
    rosdep update --rosdistro "$ROS_DISTRO"
    rosdep install --from-paths src --ignore-src --default-yes --dependency-types exec
fi
rm -rf /var/lib/apt/lists/*

# Ubuntu 24.04 has a user of this number already; drivers on a robot mostly run as it, too, and
# shared memory is only shared between processes of one user.
if other=$(getent passwd "$uid" | cut -d: -f1) && [[ -n $other ]]; then
    userdel --remove "$other"
fi
useradd --create-home --uid "$uid" "$user"
# The folder above this one may be there already, as root's. A volume that is new takes over the
# owner of the folder that it covers.
install --directory --owner "$user" "/home/$user" "/home/$user/.cache" "/home/$user/out" .
