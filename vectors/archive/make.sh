#!/bin/sh
# Makes the archives of this folder with openssl and Info-ZIP alone: no code of this project takes part.
# Keys are made once and committed; the archives differ from run to run in the random padding of RSA only.
# Usage: ./make.sh      (writes into the folder where it stands; needs openssl 3, zip 3, base64, touch, mktemp)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$here"

# Throw-away keys: they protect nothing but these vectors.
make_key() { # name bits
    [ -f "$1.pem" ] || openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1.pem"
    openssl pkey -in "$1.pem" -pubout -out "$1.pub.pem"
}
make_key rsa2048 2048
make_key rsa4096 4096
make_key other2048 2048
openssl rsa -in rsa2048.pem -traditional -out rsa2048-pkcs1.pem 2>/dev/null
[ -f rsa2048-passphrase.pem ] || openssl pkcs8 -topk8 -in rsa2048.pem -passout pass:vector -out rsa2048-passphrase.pem
passphrase() { # name, options of openssl pkcs8
    name=rsa2048-passphrase-$1; shift
    [ -f "$name.pem" ] || openssl pkcs8 -topk8 -in rsa2048.pem -passout pass:vector -out "$name.pem" "$@"
}
passphrase scrypt -scrypt
passphrase rounds -v2 aes-256-cbc -iter 10000001
passphrase des -v2 des3
[ -f rsa1024.pub.pem ] || openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 | openssl pkey -pubout -out rsa1024.pub.pem
[ -f p256.pub.pem ] || openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout -out p256.pub.pem

# zip -X: no extra fields; -D: no folder entries; one date for all.
packed() { # zip-file, options and files…
    rm -f "$1"
    find . -exec touch -d '2020-01-01 00:00:00 UTC' {} +
    TZ=UTC zip -q -X "$@"
}

# The result: two files and an empty folder.
mkdir -p "$work/result/empty"
cd "$work/result"
printf 'Hello, world!' > my-result.txt
printf '{ "deterministic-output-path": "/iexec_out/my-result.txt" }' > computed.json
packed "$here/results.zip" computed.json my-result.txt empty
cp "$here/results.zip" "$here/plain.zip"
size=$(wc -c < "$here/results.zip")

iv=000102030405060708090a0b0c0d0e0f
key128=00112233445566778899aabbccddeeff
key256=${key128}ffeeddccbbaa99887766554433221100
raw() { # hex digits → bytes
    for pair in $(printf '%s' "$1" | sed 's/../& /g'); do
        printf "\\$(printf '%03o' "0x$pair")"
    done
}
raw "$iv" > "$work/iv"
raw "$key128" > "$work/key128"
raw "$key256" > "$work/key256"

cbc() { # cipher key → IV and ciphertext
    cat "$work/iv"
    openssl enc "-$1" -K "$2" -iv "$iv" -in "$here/results.zip"
}
wrap() { # public key, padding
    openssl pkeyutl -encrypt -pubin -inkey "$here/$1.pub.pem" -pkeyopt "rsa_padding_mode:$2"
}

# Layout A, both key sizes: iexec_out/encrypted_key and iexec_out/result.zip.aes, with the folder's own entry.
for bits in 128 256; do
    rsa=rsa2048; [ "$bits" = 256 ] && rsa=rsa4096
    mkdir -p "$work/a$bits/iexec_out" && cd "$work/a$bits"
    eval "key=\$key$bits"
    cbc "aes-$bits-cbc" "$key" > iexec_out/result.zip.aes
    wrap "$rsa" oaep < "$work/key$bits" > iexec_out/encrypted_key
    packed "$here/a-aes$bits-$rsa.zip" -0 -r iexec_out
done

# Layout B: base64 around both entries, and the data key wrapped as base64 text; deflated as Java writes it.
mkdir "$work/b" && cd "$work/b"
openssl enc -aes-128-ecb -K "$key128" -in "$here/results.zip" | base64 -w 0 > iexec_out.zip.aes
base64 -w 0 < "$work/key128" | wrap rsa2048 pkcs1 | base64 -w 0 > aes-key.rsa
packed "$here/b-rsa2048.zip" iexec_out.zip.aes aes-key.rsa

# Layout C, two key sizes; deflated, and once through a pipe, which makes zip write data descriptors.
for rsa in rsa2048 rsa4096; do
    mkdir "$work/c-$rsa" && cd "$work/c-$rsa"
    cbc aes-256-cbc "$key256" > iexec_out.zip.aes
    wrap "$rsa" pkcs1 < "$work/key256" > aes-key.rsa
    packed "$here/c-$rsa.zip" -9 iexec_out.zip.aes aes-key.rsa
done
cd "$work/c-rsa2048"
zip -q -X - iexec_out.zip.aes aes-key.rsa | cat > "$here/c-descriptors.zip"

# Hostile, as far as these tools go; hostile.py makes the others.
mkdir -p "$here/hostile" && cd "$work/c-rsa2048"
packed "$here/hostile/missing-key.zip" -0 iexec_out.zip.aes
packed "$here/hostile/missing-body.zip" -0 aes-key.rsa
packed "$here/hostile/zip-encrypted.zip" -0 -P vector iexec_out.zip.aes aes-key.rsa
printf 'a comment' | zip -q -X -z "$here/hostile/comment.zip" iexec_out.zip.aes aes-key.rsa > /dev/null
mkdir "$work/swapped" && cd "$work/swapped"
cp "$work/c-rsa2048/aes-key.rsa" iexec_out.zip.aes && cp "$work/c-rsa2048/iexec_out.zip.aes" aes-key.rsa
packed "$here/hostile/swapped.zip" -0 iexec_out.zip.aes aes-key.rsa
mkdir "$work/long-key" && cd "$work/long-key"
cp "$work/c-rsa2048/iexec_out.zip.aes" . && head -c 4097 /dev/zero > aes-key.rsa
packed "$here/hostile/long-key.zip" -9 iexec_out.zip.aes aes-key.rsa
mkdir "$work/long-receipt" && cd "$work/long-receipt"
cp "$work/c-rsa2048/iexec_out.zip.aes" "$work/c-rsa2048/aes-key.rsa" . && head -c 65537 /dev/zero > receipt.json
packed "$here/hostile/long-receipt.zip" -9 iexec_out.zip.aes aes-key.rsa receipt.json
mkdir "$work/short-key" && cd "$work/short-key"     # a 16-byte data key in layout C
cbc aes-128-cbc "$key128" > iexec_out.zip.aes && wrap rsa2048 pkcs1 < "$work/key128" > aes-key.rsa
packed "$here/hostile/short-data-key.zip" -0 iexec_out.zip.aes aes-key.rsa
mkdir "$work/padding" && cd "$work/padding"         # a last block that is no PKCS#7 padding
{ cat "$work/iv"; head -c 32 /dev/zero | openssl enc -aes-256-cbc -K "$key256" -iv "$iv" -nopad; } > iexec_out.zip.aes
cp "$work/c-rsa2048/aes-key.rsa" .
packed "$here/hostile/bad-padding.zip" -0 iexec_out.zip.aes aes-key.rsa
mkdir "$work/empty-body" && cd "$work/empty-body"
: > iexec_out.zip.aes && cp "$work/c-rsa2048/aes-key.rsa" .
packed "$here/hostile/empty-body.zip" -0 iexec_out.zip.aes aes-key.rsa
mkdir "$work/iv-only" && cd "$work/iv-only"
cp "$work/iv" iexec_out.zip.aes && cp "$work/c-rsa2048/aes-key.rsa" .
packed "$here/hostile/iv-only.zip" -0 iexec_out.zip.aes aes-key.rsa
mkdir "$work/both" && cp -r "$work/a128/iexec_out" "$work/c-rsa2048/aes-key.rsa" "$work/c-rsa2048/iexec_out.zip.aes" "$work/both"
cd "$work/both" && packed "$here/hostile/two-layouts.zip" -0 -r .
mkdir "$work/unknown" && cd "$work/unknown" && printf x > readme.txt
packed "$here/hostile/unknown.zip" readme.txt
mkdir "$work/many" && cd "$work/many"
cp "$work/c-rsa2048/aes-key.rsa" "$work/c-rsa2048/iexec_out.zip.aes" .
i=0; while [ $i -lt 63 ]; do : > "extra$i"; i=$((i + 1)); done
packed "$here/hostile/many-entries.zip" -0 ./*
echo "made from a results.zip of $size bytes"
