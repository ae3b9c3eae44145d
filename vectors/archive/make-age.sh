#!/bin/sh
# Makes results.zip.age and its keys with Debian's age alone. The keys are made once; they protect nothing.
# Usage: ./make-age.sh     (needs age 1.0 or later; run before hostile.py)
set -eu
cd "$(dirname "$0")"
for name in age age-recovery age-other; do
    [ -f "$name-identity.txt" ] || age-keygen -o "$name-identity.txt" 2>/dev/null
    age-keygen -y "$name-identity.txt" > "$name-recipient.txt"
done
age -R age-recipient.txt -R age-recovery-recipient.txt -o results.zip.age results.zip
# The first key under the passphrase `correct horse`, as `age -p` keeps it, binary and armored.
./passphrase.py "correct horse" age -p -o age-identity-passphrase.age age-identity.txt
./passphrase.py "correct horse" age -p -a -o age-identity-passphrase.txt age-identity.txt
