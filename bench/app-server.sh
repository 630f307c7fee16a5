#!/bin/sh
# A `codex app-server` that starts in 2 ms, for what is measured by the thousand.
#
#   app-server.sh DIRECTORY [ANYTHING]
#
# DIRECTORY/page-1, page-2, …: its answers to `model/list`, a line each (ids are 2, 3, …, as this package counts).
# DIRECTORY/waits, if it is there: how many seconds its nth start takes to answer, a line each; "never": it answers
# nothing, and heeds neither the end of its input nor a hint. DIRECTORY/starts gets a line for each start.
directory=$1
echo "$$" >>"$directory/starts"
wait=0
if [ -f "$directory/waits" ]; then
	starts=0
	while read -r _; do starts=$((starts + 1)); done <"$directory/starts"
	row=0
	while [ "$row" -lt "$starts" ] && read -r wait; do row=$((row + 1)); done <"$directory/waits"
fi
if [ "$wait" = never ]; then exec sleep 600; fi
[ "$wait" = 0 ] || sleep "$wait"

page=0
while read -r line; do
	case $line in
	*'"initialize"'*) echo '{"id":1,"result":{"userAgent":"scripted/0.0.0"}}' ;;
	*'"model/list"'*)
		page=$((page + 1))
		# Faster than `cat` for a short page, which is one line.
		if [ -f "$directory/long" ]; then cat "$directory/page-$page"; else
			read -r answer <"$directory/page-$page"
			printf '%s\n' "$answer"
		fi
		;;
	esac
done
