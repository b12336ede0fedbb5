# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: where things are, and how to reach the guest.
cache=${CV_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cv-agent/vm}
run=${CV_VM_RUN:-$cache/run}

# vm_pid: the pid of the VM recorded by boot, if that very process is still alive
vm_pid() {
    local pid started
    [ -e "$run/qemu.pid" ] && read -r pid started <"$run/qemu.pid" || return 1
    [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# start_time PID: when it started, in clock ticks; tells a recorded process from a later one with its pid
start_time() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

# ssh_options: sets `opts` and `port` for ssh and scp
ssh_options() {
    port=$(cat "$run/ssh.port" 2>/dev/null) || { echo "no VM has been booted in $run" >&2; return 1; }
    opts=(-F none -i "$cache/id_ed25519" -o IdentitiesOnly=yes -o "UserKnownHostsFile=$cache/known_hosts"
        -o HostKeyAlias=cv-vm -o StrictHostKeyChecking=yes -o LogLevel=ERROR -o BatchMode=yes
        -o KexAlgorithms=curve25519-sha256 -o ServerAliveInterval=10 -o ServerAliveCountMax=12
        -o ControlMaster=auto -o "ControlPath=$run/ssh.ctl" -o ControlPersist=60)
}

# usage FILE: the comment block at the top of a script, which is its help
usage() {
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"
}
