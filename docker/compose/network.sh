#!/bin/sh
# Make the homes of the members named on the command line and the network that they form, once.
# What an earlier run left half made is made anew: no network has come out of it.
set -eu
umask 077

if [ -e /network/genesis.json ]; then
    echo "there is a network already; nothing was changed"
    exit 0
fi

cards=
for member in "$@"; do
    home=/members/$member password=/passwords/$member/password
    find "$home" "/passwords/$member" -mindepth 1 -delete
    head -c 24 /dev/urandom | base64 > "$password"
    concordat init member "$home" --name "$member" --did "did:example:$member" \
        --address "$member:26600" --gateway 0.0.0.0:8080 --password-file "$password"
    [ "$member" = "$1" ] || cards="$cards --card $home/member.json"
done

# shellcheck disable=SC2086 # a list of options
concordat init genesis "/members/$1" --network compose $cards
for member in "$@"; do
    [ "$member" = "$1" ] ||
        concordat init join "/members/$member" --genesis "/members/$1/genesis.json"
done

cp "/members/$1/genesis.json" /network/genesis.partial
chmod 0644 /network/genesis.partial
for member in "$@"; do
    chown -R 10001:10001 "/members/$member" "/passwords/$member"
done
# Last, because it marks the network as complete.
mv /network/genesis.partial /network/genesis.json
