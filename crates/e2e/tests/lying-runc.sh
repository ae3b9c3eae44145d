#!/bin/bash
# A worker's operator who lies: before the real runc runs a bundle, the app image's documents are replaced by those of
# an image with another entrypoint. The enclave shows what it is given; the SMS compares it with the chain.
set -eu
args=("$@")
for ((i = 0; i < $#; i++)); do
    case "${args[i]}" in
    --bundle) bundle="${args[i + 1]}" ;;
    --bundle=*) bundle="${args[i]#--bundle=}" ;;
    esac
done
if [ -n "${bundle:-}" ]; then
    documents=$(grep -o '"[^"]*/documents"' "$bundle/config.json" | head -n 1 | tr -d '"')
    mkdir -p @FOREIGN@
    sed 's#"/app/[^"]*"#"/bin/sh"#' "$documents/config.json" >@FOREIGN@/config.json
    digest=$(sha256sum @FOREIGN@/config.json | cut -d " " -f 1)
    old=$(sha256sum "$documents/config.json" | cut -d " " -f 1)
    sed "s#$old#$digest#" "$documents/manifest.json" >@FOREIGN@/manifest.json
    sed -i "s#\"$documents\"#\"@FOREIGN@\"#" "$bundle/config.json"
fi
exec /usr/sbin/runc "$@"
