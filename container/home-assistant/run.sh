#!/usr/bin/with-contenv bashio
# shellcheck shell=bash
# Writes the configuration, of the add-on's options and the broker that the Supervisor names, and becomes the service.
set -euo pipefail

# The passwords of broker and page lie here too; nobody else reads it.
umask 077
folder=${RUN_FOLDER:-/run/edge-detector}
extra=${EXTRA:-/config/extra.toml}
config=$folder/edge.toml
mkdir -p "$folder" "$STATE_DIRECTORY"

quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

# What the Supervisor does not know is empty or null.
known() { [[ -n $1 && $1 != null ]]; }

host=$(bashio::services mqtt host)
known "$host" || bashio::exit.nok "There is no MQTT broker; install the add-on Mosquitto broker and start it."
port=$(bashio::services mqtt port)
username=$(bashio::services mqtt username)
page_password=$(bashio::config page_password)
level=$(bashio::config log_level)
known "$level" || level=info

{
    echo "[node]"
    echo "name = $(quoted "$(bashio::config name)")"
    echo "[[source]]"
    echo 'name = "microphone"'
    echo 'kind = "arecord"'
    echo "hop = $(bashio::config hop)"
    echo "[detection]"
    echo "class_list = 2"
    echo "strictness = $(quoted "$(bashio::config strictness)")"
    echo "[mqtt]"
    echo "host = $(quoted "$host")"
    echo "port = $port"
    echo "commands = $(bashio::config commands)"
    if [[ $(bashio::services mqtt ssl) == true ]]; then echo "tls = true"; fi
    if known "$username"; then
        printf '%s' "$(bashio::services mqtt password)" > "$folder/mqtt-password"
        echo "username = $(quoted "$username")"
        echo "password_file = $(quoted "$folder/mqtt-password")"
    fi
    if known "$page_password"; then
        printf '%s' "$page_password" > "$folder/web-password"
        echo "[web]"
        echo 'listen = "0.0.0.0:8080"'
        echo "password_file = $(quoted "$folder/web-password")"
        # The container knows neither the machine's name nor the port that is chosen under Network.
        machine=$(bashio::info.hostname)
        port=$(bashio::addon.port 8080)
        if known "$machine" && known "$port"; then echo "url = $(quoted "http://$machine.local:$port")"; fi
    fi
    if [[ $(bashio::config clips) == true ]]; then printf '[clips]\nenabled = true\n'; fi
    for class in $(bashio::config enable); do printf '[class.%s]\nenabled = true\n' "$class"; done
    for class in $(bashio::config disable); do printf '[class.%s]\nenabled = false\n' "$class"; done
    if [[ -e $extra ]]; then cat "$extra"; fi
} > "$config"

exec edge-detector run --config "$config" --log-level "$level"
