#!/bin/sh
# Installs, upgrades or removes the service on a machine with systemd. Run as root; `make install` does.
#
#   install.sh install            a virtual environment under /opt, the unit, the command; an existing configuration is kept
#   install.sh uninstall          takes all of that away; configuration, secrets and state stay
#   install.sh uninstall --purge  takes those away too
#
# An upgrade builds its environment beside the running one and switches over by one rename: if anything fails before that,
# the old version goes on as if nothing had happened.
set -eu

PYTHON=${PYTHON:-/usr/bin/python3}
HOME_DIR=/opt/edge-detector
CONFIG_DIR=/etc/edge-detector
UNIT=edge-detector.service
UNIT_FILE=/etc/systemd/system/$UNIT
COMMAND=/usr/local/bin/edge-detector
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=${PROJECT:-$(dirname "$HERE")}
# What PyAudio needs to compile and to run, and Debian's Python to make an environment.
PACKAGES="python3-venv python3-dev gcc portaudio19-dev libportaudio2 alsa-utils"

say() { echo "edge-detector: $*"; }
fail() { echo "edge-detector: $*" >&2; exit 1; }

has_systemd() { [ -d /run/systemd/system ]; }

install_packages() {
    command -v dpkg-query > /dev/null || { say "not Debian: see that you have the like of $PACKAGES"; return 0; }
    missing=$(for package in $PACKAGES; do dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || echo "$package"; done)
    [ -z "$missing" ] && return 0
    say "installing from Debian:" $missing
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}

check_python() {
    case $(readlink -f "$(command -v "$PYTHON" || echo "$PYTHON")") in
        /root/* | /home/*) fail "$PYTHON lies in a home directory, which the sandbox hides; set PYTHON=/usr/bin/python3" ;;
    esac
    "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
        || fail "$PYTHON is $("$PYTHON" --version 2>&1); needed is Python 3.11 to 3.13"
}

build() {
    environment=$HOME_DIR/environments/$(date -u +%Y%m%dT%H%M%SZ)-$$
    say "building $environment"
    mkdir -p "$HOME_DIR/environments"
    # Of a copy: a build leaves files of root's where it is done, and takes in what an older one has left.
    source_copy=$(mktemp -d)
    trap 'rm -rf "$environment" "$source_copy"' EXIT
    for part in pyproject.toml README.md LICENSE edge_detector convert; do cp -R "$PROJECT/$part" "$source_copy/"; done
    "$PYTHON" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$source_copy[mic]"
    if [ -e "$CONFIG_DIR/edge.toml" ]; then
        "$environment/bin/edge-detector" check-config "$CONFIG_DIR/edge.toml" > /dev/null \
            || fail "nothing was changed: correct $CONFIG_DIR/edge.toml first, which this version does not accept"
    fi
    rm -rf "$source_copy"
    trap - EXIT
}

switch() {
    mkdir -p "$HOME_DIR/bin" "$(dirname "$COMMAND")"
    ln -sfn "$environment/bin/edge-detector" "$HOME_DIR/bin/edge-detector.new"
    mv -T "$HOME_DIR/bin/edge-detector.new" "$HOME_DIR/bin/edge-detector"
    ln -sfn "$HOME_DIR/bin/edge-detector" "$COMMAND"
    cp "$PROJECT/README.md" "$HOME_DIR/README.md"
}

remove_old_environments() {
    for old in "$HOME_DIR"/environments/*; do
        [ "$old" = "$environment" ] || rm -rf "$old"
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
        install -m 0644 "$HERE/edge.toml" "$CONFIG_DIR/edge.toml"
        say "wrote $CONFIG_DIR/edge.toml: give your node, microphone and broker there"
    fi
    install -m 0644 "$HERE/$UNIT" "$UNIT_FILE"
}

start() {
    has_systemd || { systemctl enable --quiet "$UNIT" && say "systemd is not running here: the service starts at the next boot"; return 0; }
    systemctl daemon-reload
    systemctl enable --quiet "$UNIT"
    systemctl restart "$UNIT" || fail "installed, but it does not start: see journalctl -u edge-detector"
    say "running; see journalctl -fu edge-detector, or ask: sudo edge-detector doctor --config $CONFIG_DIR/edge.toml"
}

uninstall() {
    if has_systemd; then
        systemctl disable --now --quiet "$UNIT" 2> /dev/null || true
    else
        systemctl disable --quiet "$UNIT" 2> /dev/null || true
    fi
    rm -f "$UNIT_FILE" "$COMMAND"
    rm -rf "$HOME_DIR"
    if has_systemd; then systemctl daemon-reload; fi
    if [ "${1:-}" = --purge ]; then
        rm -rf "$CONFIG_DIR" "$UNIT_FILE.d" /var/lib/private/edge-detector /var/lib/edge-detector
        say "removed, with configuration, secrets and state"
    else
        say "removed; $CONFIG_DIR and /var/lib/edge-detector stay (install.sh uninstall --purge takes them too)"
    fi
}

# Whatever the caller's is: a user that systemd invents must be able to read all but the secrets.
umask 022
[ "$(id -u)" = 0 ] || fail "must be run as root: sudo $0 $*"
case ${1:-} in
    install) install_packages; check_python; build; switch; configure; start; remove_old_environments ;;
    uninstall) uninstall "${2:-}" ;;
    *) fail "usage: $0 install | uninstall [--purge]" ;;
esac
