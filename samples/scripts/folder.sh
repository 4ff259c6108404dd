#!/bin/sh
# Texture maps and texture features of a folder of images.
set -eu

usage() {
    cat <<'END'
Usage: folder.sh FOLDER OUTPUT [OPTION...]

Writes OUTPUT/maps/, a contact sheet of local energies for each image of FOLDER,
and OUTPUT/features.npz, one row of numbers for each image. The chain is
../pipelines/texture.cnn, or the file named by the variable PIPELINE; the maps
stop at its mark `energy`, or at the row or mark named by UNTIL.

Each OPTION goes to both commands, such as --threads 2, --resize 256, --gray or
--overwrite.

Exit code: 0 all done; 1 some images failed, the rest are written; 2 wrong usage,
or something is missing.
END
}

case ${1-} in
-h | --help)
    usage
    exit 0
    ;;
esac
if [ $# -lt 2 ]; then
    usage >&2
    exit 2
fi

folder=$1
output=${2%/}
shift 2
pipeline=${PIPELINE:-$(dirname -- "$0")/../pipelines/texture.cnn}
stop=${UNTIL:-energy}

fail() {
    printf 'folder.sh: %s\n' "$1" >&2
    exit 2
}
[ -d "$folder" ] || fail "$folder is not a folder"
[ -f "$pipeline" ] || fail "$pipeline is not a file"
command -v cnntool >/dev/null || fail "cnntool is not installed"

# Failed images (1) are remembered and the work goes on; anything else ends it.
result=0
step() {
    code=0
    "$@" || code=$?
    case $code in
    0) ;;
    1) result=1 ;;
    *) exit "$code" ;;
    esac
}

mkdir -p -- "$output"
step cnntool run "$folder" "$output/maps/" --format png -p "$pipeline" --until "$stop" "$@"
step cnntool extract "$folder" "$output/features.npz" -p "$pipeline" "$@"

if [ "$result" -ne 0 ]; then
    echo "folder.sh: some images failed; the rest are written" >&2
fi
exit "$result"
