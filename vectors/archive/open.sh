#!/bin/sh
# Opens an archive of layout C with unzip and openssl alone: the recipe of docs/spec/archive.md.
# Usage: ./open.sh archive.zip private-key.pem > results.zip
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unzip -q -p "$1" aes-key.rsa > "$work/wrapped"
unzip -q -p "$1" iexec_out.zip.aes > "$work/body"
key=$(openssl pkeyutl -decrypt -inkey "$2" -pkeyopt rsa_padding_mode:pkcs1 -in "$work/wrapped" | od -An -v -tx1 | tr -d ' \n')
iv=$(head -c 16 "$work/body" | od -An -v -tx1 | tr -d ' \n')
tail -c +17 "$work/body" | openssl enc -d -aes-256-cbc -K "$key" -iv "$iv"
