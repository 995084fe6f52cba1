from edge_detector.audio.programs.environment import SOUND_VARIABLES, WEB_VARIABLES, child_environment

OURS = {
    "PATH": "/bin",
    "LANG": "de_DE.UTF-8",
    "EDGE_DETECTOR_MQTT_PASSWORD": "hunter2",
    "CREDENTIALS_DIRECTORY": "/run/credentials",
    "AWS_SECRET_ACCESS_KEY": "key",
    "ALSA_CONFIG_PATH": "/etc/asound.conf",
    "PULSE_SERVER": "unix:/run/pulse",
    "HTTPS_PROXY": "http://proxy:3128",
}


def test_a_child_gets_what_it_needs_by_name_and_nothing_else() -> None:
    assert child_environment(OURS) == {"PATH": "/bin", "LC_ALL": "C"}
    assert child_environment(OURS, *WEB_VARIABLES).keys() == {"PATH", "LC_ALL", "HTTPS_PROXY"}
    assert child_environment(OURS, *SOUND_VARIABLES).keys() == {"PATH", "LC_ALL", "ALSA_CONFIG_PATH", "PULSE_SERVER"}
