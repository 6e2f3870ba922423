# Buildah and podman, set up so that they need neither a registry nor a network of their own, and the base image. Uses $tools
# for what is kept between runs and $work for what is not.
# shellcheck shell=bash

# What a build or a container needs on a machine without a cgroup manager: chroot isolation, the host's network.
build_options=(--pull=never --isolation=chroot --network=host)

install_engine() {
  local program missing=()
  for program in buildah podman runc mmdebstrap; do
    command -v $program > /dev/null || missing+=("$program")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
      echo "containers are tested with ${missing[*]}, not installed here (--without-containers goes without)" >&2
      return 1
    fi
    apt-get -qq update
    apt-get -qq install --no-install-recommends netavark "${missing[@]}" > /dev/null
  fi
  # images of this run only: what else is on the machine is neither seen nor changed
  local driver=overlay files
  # one overlay does not lie on another
  [ "$(stat -f -c %T "$work")" != overlayfs ] || driver=vfs
  cat > "$work/storage.conf" << STORAGE
[storage]
driver = "$driver"
graphroot = "$work/images"
runroot = "$work/run"
STORAGE
  files=$(ulimit -Hn)
  # runc and limits that are given: crun and podman's own ask for rights that a build machine need not have
  cat > "$work/containers.conf" << CONTAINERS
[containers]
netns = "host"
default_ulimits = ["nofile=$files:$files", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONTAINERS
  export CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/containers.conf
}

# Debian as its own slim image has it, out of packages: no image is fetched.
base_image() {
  local archive=$tools/debian-bookworm.tar part=$tools/part.tar
  if [ ! -f "$archive" ]; then
    mkdir -p "$tools"
    rm -rf "$archive" "$part"
    # by the end of its name mmdebstrap takes it for an archive and not for a folder
    SOURCE_DATE_EPOCH=0 mmdebstrap --quiet --mode=root --variant=apt \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
      bookworm "$part" > /dev/null
    mv "$part" "$archive"
  fi
  podman import --quiet --change 'CMD ["/bin/bash"]' "$archive" docker.io/library/debian:bookworm-slim
}

# Containers first: their file systems are mounted below $work.
remove_engine() {
  # never the machine's own
  [ "${CONTAINERS_STORAGE_CONF-}" = "$work/storage.conf" ] || return 0
  podman rm --all --force --time 0 > /dev/null 2>&1 || true
  podman rmi --all --force > /dev/null 2>&1 || true
}
