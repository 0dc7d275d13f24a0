#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each library and each dangerous call has one file, or one folder, in mgmt-service/ that may use it.
# usage: only_user_of.sh MGMT_SERVICE_DIRECTORY
cd "$1" || exit 1
failed=0

# rule PATTERN ALLOWED...
rule()
{
	pattern=$1
	shift
	for file in $(grep -rlE --include='*.[ch]' "$pattern" .); do
		for allowed in "$@"; do
			case $file in
			./$allowed*) continue 2 ;;
			esac
		done
		echo "$file: $pattern is for $* only"
		failed=1
	done
}

rule 'MHD_' http/server.c
rule 'sqlite3_' store/store.c
rule 'json_object_|json_tokener_' http/json.c 'vmms/*_wire.c' cli/
rule '\<fork\(|\<execve?\(|posix_spawn' vmms/worker_proc.c vmms/image_tool.c net/dnsmasq.c
rule 'mnl_|nft_' net/
rule '\<ioctl\(' net/port.c
rule 'epoll_' daemon/loop.c
rule 'curl_easy_|CURLOPT_' cli/client.c
rule '\<readline\(' cli/main.c
rule '\<(system|popen|strcat|sprintf|gets|tmpnam)\(' none
# hvsh talks HTTP and nothing else; nothing below http/ knows of it.
rule '#include "cli/' cli/
rule '#include "http/' http/ daemon/main.c
rule '#include "(daemon|vmms|store|cim)/' daemon/ http/ cim/ vmms/ store/
rule '#include "net/netlink' net/
exit $failed
