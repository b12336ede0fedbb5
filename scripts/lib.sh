# shellcheck shell=bash
# Sourced by the other scripts: the paths that they share, and functions that install what is missing.
set -euo pipefail

# shellcheck disable=SC2034  # used by the scripts that source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/cv-agent

# One target directory for all checkouts, so that TensorFlow Lite is compiled only once.
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
        command -v sudo >/dev/null || fail "cannot install ${missing[*]}: this user is not root and sudo is missing; install these packages, then run the script again"
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

# need_cargo_tool NAME VERSION: builds a cargo subcommand once and keeps it in the cache, where CI finds it again
need_cargo_tool() {
    PATH=$cache/tools/bin:$PATH
    command -v "$1" >/dev/null && return
    say "building $1 $2 (once)"
    # Unoptimised, because a release profile (cargo-deny's has fat LTO and one unit) costs far more time than the runs here
    # need; and not in the shared target directory, which would keep everything that this build leaves behind.
    env -u CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --root "$cache/tools" --version "$2" "$1"
}

# Makes cargo build this checkout's own programs even if another checkout was built in the same target directory before:
# cargo takes the two for the same workspace, and every file that is older than the last build for unchanged.
claim_target_directory() {
    local owner=$CARGO_TARGET_DIR/checkout
    [ "$(cat "$owner" 2>/dev/null)" != "$root" ] || return 0
    find "$root"/{agent,bench/load,crates,relay,web} -type f -exec touch {} +
    mkdir -p "$CARGO_TARGET_DIR"
    printf '%s\n' "$root" >"$owner"
}

# What `cargo build` needs: TensorFlow Lite is written in C++, and its Rust bindings are generated with libclang.
need_build_tools() {
    command -v cargo >/dev/null || fail "cargo was not found; install Rust 1.94 or newer (with rustup, for example), then run the script again"
    need_packages make g++ clang libclang-dev
    claim_target_directory
}

# Python with virtual environments, which are a separate package in Debian.
need_python() {
    need_command python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || need_packages python3-venv
}

# The LiteRT runtime, which is many times faster than the built-in engine on x86-64. The agent also works without it.
need_litert() {
    need_command pip3 python3-pip
    need_command unzip unzip
    "$root/scripts/get-litert" "$(uname -m)" ||
        say "could not fetch LiteRT; cv-agent uses its built-in engine instead"
}
