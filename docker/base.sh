#!/usr/bin/env bash
# bash docker/base.sh [IMAGE]: make a base image if no image registry can be reached; then build with BASE=IMAGE.
# It has Debian 12, Python 3.11 and this machine's trusted certificates. Needs root, Docker and debootstrap.
set -euo pipefail

image=${1:-lstm-serve-base}
for command in docker debootstrap; do
    command -v "$command" >/dev/null || { echo "error: $command is not installed; apt-get install $command" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "error: debootstrap needs root rights to make a root file system; call this with sudo" >&2; exit 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$folder/log" 2>&1 \
    || { tail -n 20 "$folder/log" >&2; exit 1; }

ln -s /usr/bin/python3 "$root/usr/local/bin/python3"
ln -s /usr/bin/python3 "$root/usr/local/bin/python"
# The certificates of this machine, for a package mirror with a private certificate.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/{doc,info,locale,man}/*

tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin' \
    --change 'CMD ["python3"]' - "$image" >/dev/null
docker image ls "$image"
