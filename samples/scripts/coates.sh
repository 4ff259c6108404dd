#!/bin/sh
# The experiment of A. Coates, H. Lee, A. Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning"
# (AISTATS 2011), from the shell: filters are learned from images without labels, a linear classifier from the features.
#
#     coates.sh IMAGES WORK [K] [HELD_BACK]
#
# IMAGES is a folder, or a .tar.gz of one, with one sub-folder a class, such as CIFAR-10's 10 classes of 5,000. By the
# order of names the last HELD_BACK images of each class (default 1000) are held back: what is chosen is chosen on them.
# WORK is a folder for lists, models and tables. K filters (default 400) need 36 K bytes a row in the tables, and training
# has two rows an image.
#
# The paper has patches without padding, sums over quarters and plain k-means, and no mirror images: `bank kmeans K 6
# triangle gridpool 2`. What differs here was chosen on images held back.
set -eu

images=${1:?"usage: coates.sh IMAGES WORK [K] [HELD_BACK]"}
work=${2:?"usage: coates.sh IMAGES WORK [K] [HELD_BACK]"}
filters=${3:-400}
held_back=${4:-1000}

mkdir -p "$work"
case $images in
*.tar.gz | *.tgz)
    [ -d "$work/images" ] || { mkdir "$work/images" && tar -xzf "$images" -C "$work/images"; }
    images=$work/images
    ;;
esac
images=$(cd "$images" && pwd)
work=$(cd "$work" && pwd)

# One class after another; `head -n -N` is not known everywhere.
find "$images" -type f | sort | awk -v held_back="$held_back" -v work="$work" '
    function finish(  i) { for (i = 1; i <= n; i++) print path[i] > (work (i > n - held_back ? "/test.txt" : "/train.txt")) }
    { folder = $0; sub("/[^/]*$", "", folder); if (folder != last) { finish(); n = 0; last = folder } path[++n] = $0 }
    END { finish() }'

cd "$work"
# Patches of 6x6, their contrast normalised, whitened; distances to K centroids; sums over nine parts of the image.
cnntool fit --overwrite --show-filters "filters-$filters.png" @train.txt "bank-$filters.npz" \
    bank kmeans "$filters" 6 --spherical --eps-zca 0.3 --padding 2 triangle gridpool 3
cnntool extract --overwrite --labels --mirrored -m "bank-$filters.npz" @train.txt "train-$filters.npz"
cnntool extract --overwrite --labels -m "bank-$filters.npz" @test.txt "test-$filters.npz"
cnntool train --overwrite --head l2svm --c 100 "train-$filters.npz" "head-$filters.npz"
cnntool evaluate "head-$filters.npz" "test-$filters.npz"
