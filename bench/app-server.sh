#!/bin/sh
# A scripted app-server that starts in milliseconds, in a folder with its files: `starts` gets a line at each start, line n
# of `waits` is the wait of start n in seconds or "never", and `result` is the result of `model/list`.
folder=${0%/*}
echo "$$" >>"$folder/starts"
start=0
while read -r _; do start=$((start + 1)); done <"$folder/starts"
while [ "$start" -gt 0 ] && read -r wait; do start=$((start - 1)); done <"$folder/waits"
[ "$wait" != never ] || exec sleep 5
[ "$wait" = 0 ] || sleep "$wait"
read -r result <"$folder/result"
while read -r line; do
	id=${line#*\"id\":}
	id=${id%%[,\}]*}
	case $line in
	*'"initialize"'*) printf '{"id":%s,"result":{"userAgent":"scripted/0.0.0"}}\n' "$id" ;;
	*'"model/list"'*) printf '{"id":%s,"result":%s}\n' "$id" "$result" ;;
	*'"id":'*) printf '{"id":%s,"error":{"code":-32601,"message":"unknown method"}}\n' "$id" ;;
	esac
done
