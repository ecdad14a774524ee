#!/bin/sh
# A legacy system: an account is a file of its number in $LEGACY_HOME, its second line is its state. It keeps a journal.
input=$(cat)
field() { printf %s "$input" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
cd "$LEGACY_HOME" || exit 69
[ "$LEGACY_PASSWORD" = "$(cat password)" ] || exit 77
[ ! -e closed ] || exit 75
echo "$1" >>journal
set_state() { printf '%s\n%s\n' "$(head -n 1 "accounts/$(field id)")" "$1" >"accounts/$(field id)"; }
show() { printf '{"id":"%s","email":"%s","state":"%s"}' "$1" "$(head -n 1 "accounts/$1")" "$(sed -n 2p "accounts/$1")"; }
case $1 in
find)
  printf '{"accounts":['
  comma=
  for id in $(grep -lx "$(field email)" accounts/* | sed 's,.*/,,'); do printf %s "$comma"; show "$id"; comma=,; done
  printf ']}'
  ;;
show) show "$(field id)" ;;
lock)
  [ ! -e owner ] || exit 3
  set_state locked
  [ ! -e hangs ] || { rm hangs; sleep 1000; }
  printf '{"locked":true}'
  ;;
unlock) set_state open; printf '{}' ;;
esac
