#!/bin/sh
# Installs, upgrades or removes the service on a machine with systemd. Run as root; `make install` does in a repository, and
# `edge-detector install-service` wherever the program is installed.
#
#   install.sh install            a virtual environment under /opt, the unit, the command; an existing configuration is kept
#   install.sh rollback           goes back to the version before the last upgrade; once more returns to the newer one
#   install.sh uninstall          removes all of that and the retained topics; configuration, secrets and state stay
#   install.sh uninstall --purge  removes those too
#
# An upgrade builds its environment beside the running one and switches over by one rename: if anything fails before that,
# the old version keeps running. The new environment is on the disk before the switch, and the old one stays
# until the next upgrade: a power cut at any moment leaves a version that runs.
set -eu

PYTHON=${PYTHON:-/usr/bin/python3}
HOME_DIR=/opt/edge-detector
CONFIG_DIR=/etc/edge-detector
UNIT=edge-detector.service
UNIT_FILE=/etc/systemd/system/$UNIT
COMMAND=/usr/local/bin/edge-detector
CURRENT=$HOME_DIR/bin/edge-detector
PREVIOUS=$HOME_DIR/bin/edge-detector.previous
HERE=$(cd "$(dirname "$0")" && pwd)
# The repository; or, from a wheel, share/edge-detector of the environment with the program to be installed.
PROJECT=${PROJECT:-$(dirname "$HERE")}
PROGRAM_PYTHON=${PROGRAM_PYTHON:-$PROJECT/../../bin/python}
# Packages to compile and run PyAudio, and to create a virtual environment with Debian's Python.
PACKAGES="python3-venv python3-dev gcc portaudio19-dev libportaudio2 alsa-utils"

say() { echo "edge-detector: $*"; }
fail() { echo "edge-detector: $*" >&2; exit 1; }

# Syncs the file systems of these paths; an older sync has no -f and syncs all.
durable() { sync -f "$@" 2> /dev/null || sync; }

# Replaces a link or a file by one rename, so that it always exists.
link() { ln -sfn "$1" "$2.new" && mv -fT "$2.new" "$2"; }
put() { install -m 0644 "$1" "$2.new" && durable "$2.new" && mv -fT "$2.new" "$2"; }

environment_of() { [ -x "$1" ] && dirname "$(dirname "$(readlink "$1")")"; }

has_systemd() { [ -d /run/systemd/system ]; }

install_packages() {
    command -v dpkg-query > /dev/null || { say "not Debian: install the equivalents of $PACKAGES"; return 0; }
    missing=$(for package in $PACKAGES; do dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || echo "$package"; done)
    [ -z "$missing" ] && return 0
    # shellcheck disable=SC2086 # a word for each package
    set -- $missing
    say "installing from Debian: $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

check_systemd() {
    command -v systemctl > /dev/null || fail "systemd is not installed here, and the service needs it; without it: edge-detector run --config FILE"
}

check_python() {
    case $(readlink -f "$(command -v "$PYTHON" || echo "$PYTHON")") in
        /root/* | /home/*) fail "$PYTHON lies in a home directory, which the sandbox hides; set PYTHON=/usr/bin/python3" ;;
    esac
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || fail "$PYTHON is $("$PYTHON" --version 2>&1); needed is Python 3.11 or later"
}

build() {
    environment=$HOME_DIR/environments/$(date -u +%Y%m%dT%H%M%SZ)-$$
    say "building $environment"
    mkdir -p "$HOME_DIR/environments"
    material=$(mktemp -d)
    trap 'rm -rf "$environment" "$material"' EXIT
    if [ -e "$PROJECT/pyproject.toml" ]; then
        # From a copy, since a build leaves files owned by root in the source folder and includes those of an older build.
        for part in pyproject.toml README.md LICENSE NOTICE systemd edge_detector convert; do cp -R "$PROJECT/$part" "$material/"; done
        package=$material
    else
        package=$("$PROGRAM_PYTHON" -P -m edge_detector install-service --pack "$material")
    fi
    "$PYTHON" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "${package}[mic,web]"
    if [ -e "$CONFIG_DIR/edge.toml" ]; then
        "$environment/bin/edge-detector" check-config "$CONFIG_DIR/edge.toml" > /dev/null \
            || fail "nothing was changed: correct $CONFIG_DIR/edge.toml first, which this version does not accept"
    fi
    install -m 0644 "$HERE/$UNIT" "$environment/$UNIT"
    install -m 0644 "$PROJECT/README.md" "$environment/README.md"
    rm -rf "$material"
    durable "$environment"
    trap - EXIT
}

switch() {
    mkdir -p "$HOME_DIR/bin" "$(dirname "$COMMAND")"
    if environment_of "$CURRENT" > /dev/null; then link "$(readlink "$CURRENT")" "$PREVIOUS"; fi
    link "$environment/bin/edge-detector" "$CURRENT"
    [ "$(readlink "$COMMAND")" = "$CURRENT" ] || link "$CURRENT" "$COMMAND"
    # An environment of an older installer has neither README nor unit.
    if [ -e "$environment/README.md" ]; then put "$environment/README.md" "$HOME_DIR/README.md"; fi
    durable "$HOME_DIR/bin" "$(dirname "$COMMAND")"
}

remove_old_environments() {
    previous=$(environment_of "$PREVIOUS" || true)
    for old in "$HOME_DIR"/environments/*; do
        [ "$old" = "$environment" ] || [ "$old" = "$previous" ] || rm -rf "$old"
    done
}

configure() {
    mkdir -p "$CONFIG_DIR"
    if [ ! -d "$CONFIG_DIR/secrets" ]; then
        mkdir -m 0700 "$CONFIG_DIR/secrets"
    fi
    if [ -e "$CONFIG_DIR/edge.toml" ]; then
        say "keeping $CONFIG_DIR/edge.toml"
    else
        put "$HERE/edge.toml" "$CONFIG_DIR/edge.toml"
        say "wrote $CONFIG_DIR/edge.toml: set node, microphone and broker there"
    fi
    put_unit
}

put_unit() {
    cmp -s "$environment/$UNIT" "$UNIT_FILE" || put "$environment/$UNIT" "$UNIT_FILE"
    durable "$CONFIG_DIR" "$(dirname "$UNIT_FILE")"
}

start() {
    has_systemd || { systemctl enable --quiet "$UNIT" && say "systemd is not running here: the service starts at the next boot"; return 0; }
    systemctl daemon-reload
    systemctl enable --quiet "$UNIT"
    systemctl restart "$UNIT" || fail "it is in place, but does not start: see journalctl -u edge-detector; back to the version before: edge-detector install-service --rollback"
    say "running; see journalctl -fu edge-detector, or run: sudo edge-detector doctor --config $CONFIG_DIR/edge.toml"
}

rollback() {
    environment=$(environment_of "$PREVIOUS") || fail "there is no earlier version here; an upgrade keeps one: edge-detector install-service"
    if [ -e "$CONFIG_DIR/edge.toml" ]; then
        "$PREVIOUS" check-config "$CONFIG_DIR/edge.toml" > /dev/null \
            || fail "nothing was changed: correct $CONFIG_DIR/edge.toml first, which the earlier version does not accept"
    fi
    say "going back to $("$PREVIOUS" --version), $environment"
    switch
    if [ -e "$environment/$UNIT" ]; then put_unit; fi
    start
}

# Otherwise the retained topics of this node would stay at the broker.
forget_at_broker() {
    [ -x "$CURRENT" ] && [ -e "$CONFIG_DIR/edge.toml" ] || return 0
    # As systemd passes them to the service.
    CREDENTIALS_DIRECTORY="$CONFIG_DIR/secrets" "$CURRENT" forget --config "$CONFIG_DIR/edge.toml" \
        || say "the retained topics of this node stay at the broker; once it can be reached, install again and uninstall"
}

uninstall() {
    if has_systemd; then
        systemctl disable --now --quiet "$UNIT" 2> /dev/null || true
    else
        systemctl disable --quiet "$UNIT" 2> /dev/null || true
    fi
    forget_at_broker
    rm -f "$UNIT_FILE" "$COMMAND"
    rm -rf "$HOME_DIR"
    if has_systemd; then systemctl daemon-reload; fi
    if [ "${1:-}" = --purge ]; then
        rm -rf "$CONFIG_DIR" "$UNIT_FILE.d" /var/lib/private/edge-detector /var/lib/edge-detector
        say "removed, with configuration, secrets and state"
    else
        say "removed; $CONFIG_DIR and /var/lib/edge-detector stay (with --purge they are removed too)"
    fi
}

# Regardless of the caller's umask: the dynamic user must be able to read everything except the secrets.
umask 022
[ "$(id -u)" = 0 ] || fail "must be run as root: sudo $0 $*"
case ${1:-} in
    install) check_systemd; install_packages; check_python; build; switch; configure; start; remove_old_environments ;;
    rollback) rollback ;;
    uninstall) uninstall "${2:-}" ;;
    *) fail "usage: $0 install | rollback | uninstall [--purge]" ;;
esac
