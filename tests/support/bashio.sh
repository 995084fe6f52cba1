# shellcheck shell=bash
# Stand-in for bashio, Home Assistant's library for the scripts of add-ons: OPTIONS and SERVICE name JSON files, the add-on's
# options and what the Supervisor knows of the broker,
# of the machine's name and of the ports. PYTHON reads them.
set -o errexit -o errtrace -o nounset -o pipefail

_value() {
    local query
    # As in the original: it returns 1, which ends a script that calls the function outside of $(…).
    read -r -d '' query <<< "import json, sys; value = json.load(open(sys.argv[1])).get(sys.argv[2])"
    "$PYTHON" -c "$query
print(*value if isinstance(value, list) else [value if isinstance(value, str) else json.dumps(value)], sep='\n', end='')" "$@"
}

bashio::config() { _value "$OPTIONS" "$1"; }
bashio::services() { _value "$SERVICE" "$2"; }
bashio::info.hostname() { _value "$SERVICE" machine; }
bashio::addon.port() { _value "$SERVICE" "port-$1"; }
bashio::exit.nok() { echo "FATAL: $1" >&2; exit 1; }
