#!/bin/sh
# A small convolutional network on Fashion-MNIST, trained and tested from the shell.
# usage: fashion_mnist.sh FOLDER [SEED], where FOLDER is what fashion_mnist.py made.
set -eu
data=$1
seed=${2:-0}

cnntool train "$data/train" "$data/model-$seed.npz" --overwrite --seed "$seed" \
    --epochs 10 --batch-size 64 --optimizer adam --lr 0.004 --weight-decay 0 --schedule cosine --validation 0 \
    conv 32 3 --padding 1 --no-bias batchnorm relu maxpool 2 \
    conv 64 3 --padding 1 --no-bias batchnorm relu maxpool 2 \
    dropout 0.25 fc 10
cnntool evaluate "$data/model-$seed.npz" "$data/test"
