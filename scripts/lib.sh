# shellcheck shell=bash
# Sourced by the other scripts: where things are, and how missing ones are installed.
set -euo pipefail

# shellcheck disable=SC2034  # used by the scripts that source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/cv-agent

# One target directory for every checkout: TensorFlow Lite is compiled once.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_packages NAME...: installs the Debian packages that are missing
need_packages() {
    local missing=() name as_root=()
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "these packages are missing and neither root nor sudo is there: ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing with apt: ${missing[*]}"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# need_command COMMAND PACKAGE...: installs the packages if the command is missing
need_command() {
    command -v "$1" >/dev/null || need_packages "${@:2}"
}

# Makes cargo build this checkout's own programs where another one has built before: to cargo the two are the same, and
# what is older than the last build is up to date.
claim_target_directory() {
    local owner=$CARGO_TARGET_DIR/checkout
    [ "$(cat "$owner" 2>/dev/null)" != "$root" ] || return 0
    find "$root"/{agent,bench/load,crates,relay,web} -type f -exec touch {} +
    mkdir -p "$CARGO_TARGET_DIR"
    printf '%s\n' "$root" >"$owner"
}

# What `cargo build` needs: TensorFlow Lite is C++, and its bindings are made with libclang.
need_build_tools() {
    command -v cargo >/dev/null || fail "cargo is missing; install Rust 1.94 or newer first (rustup)"
    need_packages make g++ clang libclang-dev
    claim_target_directory
}

# Python with virtual environments, which Debian packs apart.
need_python() {
    need_command python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || need_packages python3-venv
}

# The LiteRT runtime, many times faster than the built-in one on x86-64. Without it the agent still works.
need_litert() {
    need_command pip3 python3-pip
    need_command unzip unzip
    "$root/scripts/get-litert" "$(uname -m)" ||
        say "LiteRT could not be fetched; the built-in engine is used instead"
}
