#!/usr/bin/env bash
# A Slurm cluster of two nodes, n1 and n2, on this machine, with four cards each that are none.
#
#   cluster.sh up | down       starts it; stops it
#   cluster.sh env             prints what its clients need: eval "$(cluster.sh env)"
#   cluster.sh crash NODE      the node is gone at once, with all that runs on it
#   cluster.sh cut NODE        the node answers no more, but its tasks run on: a network that broke
#   cluster.sh join NODE       the node is back, after either
#
# SLURM_HOME names its folder, by a short path: Unix sockets lie in it. Has to be root, who may make namespaces: a node is one
# of processes, so that it crashes as a whole, and one of mounts, with the configuration where the nodes' clients look for it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${SLURM_HOME:?names the folder of the cluster}
nodes='n1 n2' cores=8 memory=64000 cards=4
export SLURM_CONF=$home/etc/slurm.conf

# One that has ended and waits to be reaped counts as gone; `kill -0` would find it.
alive() {
  local state
  [ -n "$1" ] && state=$(sed 's/^.*) //' "/proc/$1/stat" 2> /dev/null) && [ -n "$state" ] && [ "${state%% *}" != Z ]
}

# end PIDFILE SIGNAL: sends it, then SIGKILL after five seconds.
end() {
  local pid
  pid=$(cat "$1" 2> /dev/null) && alive "$pid" || return 0
  kill "-$2" "$pid" 2> /dev/null || true
  for _ in $(seq 100); do alive "$pid" || break; sleep 0.05; done
  ! alive "$pid" || kill -KILL "$pid"
  rm -f "$1"
}

# Three free ports in a row.
free_ports() {
  python3 -c '
import random, socket, sys
while True:
    first = random.randrange(20000, 30000)
    try:
        for port in range(first, first + 3):
            socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        continue
    sys.exit(print(first))'
}

configure() {
  local host port index=0 node card
  host=$(hostname -s)
  port=$(free_ports)
  mkdir -p "$home"/{dev,etc,log,run,spool,state}
  chmod 755 "$home" "$home/run"
  sed -e "s#@HOME@#$home#g" -e "s#@HOST@#$host#g" -e "s#@PORT@#$port#g" "$here/slurm.conf" > "$SLURM_CONF"
  for node in $nodes; do
    index=$((index + 1))
    echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + index)) CPUs=$cores RealMemory=$memory Gres=gpu:$cards"
  done >> "$SLURM_CONF"
  echo "PartitionName=main Nodes=${nodes// /,} Default=YES PriorityTier=1" >> "$SLURM_CONF"
  echo "PartitionName=urgent Nodes=${nodes// /,} PriorityTier=10" >> "$SLURM_CONF"
  # Slurm wants device files; these are null devices.
  for card in $(seq 0 $((cards - 1))); do
    [ -e "$home/dev/nvidia$card" ] || mknod "$home/dev/nvidia$card" c 1 3
  done
  echo "Name=gpu File=$home/dev/nvidia[0-$((cards - 1))]" > "$home/etc/gres.conf"
  # 22.05 cannot do without a cgroup plugin, though it uses none here.
  echo 'CgroupPlugin=cgroup/v1' > "$home/etc/cgroup.conf"
  (umask 077; head -c 128 /dev/urandom > "$home/etc/munge.key")
}

start_node() {
  mkdir -p "$home/spool/$1" /etc/slurm
  # shellcheck disable=SC2016
  setsid unshare --pid --fork --kill-child --mount --mount-proc bash -c '
    mount --bind "$2" /etc/slurm
    slurmd -D -N "$1" &
    # as long as there is a node, whatever became of slurmd
    while :; do sleep 1000; done' node "$1" "$home/etc" < /dev/null >> "$home/log/node-$1.log" 2>&1 &
  echo $! > "$home/run/node-$1.pid"
}

# The node's own slurmd: its place is under the first process of the node.
slurmd_of() {
  pgrep -x slurmd -P "$(pgrep -d , -P "$(cat "$home/run/node-$1.pid")")"
}

down_as_seen_by_slurm() {
  scontrol update "NodeName=$1" State=DOWN Reason=drill
}

ready() {
  [ "$(sinfo --noheader --Node --states idle --format %N 2> /dev/null | sort -u | xargs)" = "$nodes" ]
}

case ${1:-} in
  up)
    configure
    munged --force --socket="$home/run/munge.socket" --key-file="$home/etc/munge.key" --pid-file="$home/run/munged.pid" \
      --log-file="$home/log/munged.log" --seed-file="$home/state/munge.seed" --num-threads=2
    slurmctld -c
    for node in $nodes; do start_node "$node"; done
    for _ in $(seq 100); do ! ready || exit 0; sleep 0.2; done
    echo 'the nodes did not all become idle:' >&2
    sinfo --Node --long >&2 || true
    tail -n 20 "$home"/log/*.log >&2
    exit 1
    ;;
  down)
    for node in $nodes; do end "$home/run/node-$node.pid" KILL; done
    end "$home/run/slurmctld.pid" TERM
    end "$home/run/munged.pid" TERM
    ;;
  env) echo "export SLURM_CONF=$SLURM_CONF" ;;
  crash)
    end "$home/run/node-$2.pid" KILL
    down_as_seen_by_slurm "$2"
    ;;
  cut)
    kill -STOP "$(slurmd_of "$2")"
    down_as_seen_by_slurm "$2"
    ;;
  join)
    if alive "$(cat "$home/run/node-$2.pid" 2> /dev/null)"; then kill -CONT "$(slurmd_of "$2")"; else start_node "$2"; fi
    until sinfo --noheader --nodes "$2" --format %T | grep -qE '^(idle|mixed|allocated)$'; do
      # refused as soon as slurmd has told that it is there
      scontrol update "NodeName=$2" State=RESUME 2> /dev/null || true
      sleep 0.2
    done
    ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
