# Sourced by scripts/demo and scripts/test: makes .venv with the extras named in $1, once.
# A stamp remembers what was installed, so that a second start takes no set-up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local name
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "vlmsweep needs Python 3.11 or newer: install it, or name one with PYTHON=..." >&2
    return 1
}

# Whether a set was installed, of today's versions ($2), that holds every extra named in $1.
is_installed() {
    local stamp=.venv/.vlmsweep-stamp set versions extra
    [ -x .venv/bin/python ] && [ -f "$stamp" ] || return 1
    while read -r set versions; do
        [ "$versions" = "$2" ] || continue
        for extra in ${1//,/ }; do
            [[ ",$set," == *",$extra,"* ]] || continue 2
        done
        return 0
    done <"$stamp"
    return 1
}

make_env() {
    local extras=$1 versions
    versions=$(cat pyproject.toml constraints.txt | cksum)
    if is_installed "$extras" "$versions"; then
        return
    fi
    [ -x .venv/bin/python ] || "$(find_python)" -m venv .venv
    echo "Setting up .venv [$extras]; the first time takes some minutes." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        -c constraints.txt -e ".[$extras]" >&2
    echo "$extras $versions" >>.venv/.vlmsweep-stamp
}
