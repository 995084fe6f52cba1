"""Synthesised everyday sounds: each function returns `count` samples at 16 kHz of a dry sound, at any level.

The constants were fitted by comparison with recordings and by YAMNet's scores, which `test_soundscape.py` checks.
"""

import numpy as np

from edge_detector.demo.synthesis import (
    RATE_HZ,
    Formant,
    Signal,
    add,
    at_peak,
    at_rms,
    band,
    curve,
    filtered,
    noise,
    resonances,
    samples,
    tilted,
    voice,
    wander,
)

LEAD_IN_SECONDS = 0.05


def dog_bark(random: np.random.Generator, count: int) -> Signal:
    """Synthesise short barks with pauses: a rising and falling voice with much breath, through a muzzle's resonances."""
    muzzle = resonances((Formant(950, 100), Formant(2_400, 130, 0.21), Formant(2_500, 200, 0.22)), db_per_octave=-2.1)
    mean_pitch_hz, breath, hoarseness = 755.0, 0.55, 0.12
    signal = np.zeros(count)
    start = samples(LEAD_IN_SECONDS)
    while start + samples(0.2) < count:
        length = samples(0.145 * random.uniform(0.85, 1.15))
        pitch = mean_pitch_hz * random.uniform(0.93, 1.07) * curve(length, [(0, 0.79), (0.3, 1), (0.55, 0.95), (1, 0.48)])
        voiced = at_peak(voice(random, pitch * (1 + 0.01 * wander(random, length, 60)), muzzle))
        voiced *= 1 + hoarseness * wander(random, length, 250).clip(-1.5, 1.5)
        bark = voiced + breath * at_peak(noise(random, length, muzzle))
        loudness = random.uniform(0.8, 1) * curve(length, [(0, 0), (0.12, 0.9), (0.35, 1), (0.6, 0.6), (1, 0)])
        add(signal, start, bark * loudness)
        start += length + samples(0.4 * random.uniform(0.7, 1.3))
    return signal


def baby_cry(random: np.random.Generator, count: int) -> Signal:
    """Synthesise harsh cries of half a second that rise and fall around 500 Hz, each followed by a gasp."""
    tract = resonances((Formant(1_300, 210), Formant(2_800, 270, 0.5), Formant(6_450, 420, 0.8)), db_per_octave=-1.9)
    gasp_tract = resonances((Formant(1_550, 500), Formant(3_100, 800)), db_per_octave=0)
    onset_pitch_hz, subharmonic, roughness, breath, gasp = 440.0, 0.35, 0.3, 0.23, 0.15
    signal = np.zeros(count)
    start = samples(LEAD_IN_SECONDS)
    while start + samples(0.45) < count:
        length = samples(0.58 * random.uniform(0.8, 1.2))
        pitch = curve(length, [(0, 0.83), (0.15, 1), (0.5, 1.2), (0.8, 0.97), (1, 0.62)], 0.04)
        pitch *= onset_pitch_hz * random.uniform(0.95, 1.06)
        pitch *= 1 + 0.023 * np.sin(2 * np.pi * 4.7 * np.arange(length) / RATE_HZ)
        voiced = at_peak(voice(random, pitch, tract))
        voiced += subharmonic * at_peak(voice(random, pitch / 2, tract)) * wander(random, length, 4).clip(0, 1)
        voiced *= 1 + roughness * wander(random, length, 80).clip(-1.5, 1.5)
        cry = voiced + breath * at_peak(noise(random, length, tract))
        add(signal, start, cry * curve(length, [(0, 0), (0.1, 0.6), (0.3, 1), (0.75, 0.8), (1, 0)], 0.03))
        start += length + samples(0.03)
        length = samples(0.15 * random.uniform(0.8, 1.2))
        add(signal, start, gasp * noise(random, length, gasp_tract) * np.hanning(length))
        start += length
    return signal


def person_sneeze(random: np.random.Generator, count: int) -> Signal:
    """Synthesise sneezes: an inhalation, a short pause, then a burst of air between the teeth and a short voiced end."""
    throat = resonances((Formant(740, 200), Formant(1_260, 250, 0.6), Formant(2_600, 400, 0.3)), db_per_octave=-3)
    mouth = resonances((Formant(400, 150), Formant(1_420, 250, 0.6), Formant(2_500, 400, 0.3)), db_per_octave=-2)
    teeth = band(1_930, 6_970)
    pitch_hz, breath_gain, end_gain = 350.0, 0.05, 0.55
    signal = np.zeros(count)
    start = samples(LEAD_IN_SECONDS)
    while start + samples(0.7) < count:
        length = samples(0.33)
        inhalation = at_peak(noise(random, length, throat))
        inhalation += 0.33 * at_peak(voice(random, pitch_hz * curve(length, [(0, 1), (1, 1.4)]), throat))
        add(signal, start, breath_gain * inhalation * curve(length, [(0, 0), (0.6, 1), (0.95, 0.6), (1, 0)], 0.03))
        start += length + samples(0.04)
        length = samples(0.27)
        burst = at_peak(noise(random, length, teeth))
        add(signal, start, burst * curve(length, [(0, 0), (0.045, 1), (0.35, 0.55), (1, 0)], 0.006))
        length = samples(0.175)
        end = at_peak(voice(random, pitch_hz * curve(length, [(0, 1.13), (0.3, 1.03), (1, 0.62)]), mouth))
        end += 0.6 * at_peak(noise(random, length, mouth))
        add(signal, start + samples(0.13), end_gain * end * curve(length, [(0, 0), (0.15, 1), (0.5, 0.6), (1, 0)], 0.02))
        start += samples(0.6)
    return signal


def rain(random: np.random.Generator, count: int) -> Signal:
    """Synthesise an even hiss with near drops, each a few milliseconds of a ringing bubble, some far louder."""
    hiss = noise(random, count, band(180, 8_000)) * (1 + 0.08 * wander(random, count, 3))
    drops = np.zeros(count)
    for _ in range(round(87 * count / RATE_HZ)):
        length = int(random.integers(60, 120))
        time = np.arange(length)
        ring = np.sin(2 * np.pi * random.uniform(1_500, 4_900) * time / RATE_HZ + random.uniform(0, 2 * np.pi))
        strength = min(random.pareto(3) + 0.2, 4)
        add(drops, int(random.integers(count)), strength * np.exp(-5 * time / length) * ring)
    return hiss + 0.64 * at_rms(drops)


def sea_waves(random: np.random.Generator, count: int) -> Signal:
    """Synthesise surf: every 2.5 s a wave rises fast and decays slowly, with hissing foam above the rumble."""
    period_seconds, rise_seconds, fall_seconds, foam_fall_seconds = 2.5, 0.25, 0.6, 0.53
    body, foam, shore = band(215, 400), band(400, 2_300), tilted(band(215, 2_300), -3.6)
    surf = 0.09 * noise(random, count, shore)
    for number in range(int(count / samples(period_seconds)) + 2):
        crest = (number - 0.3 + random.uniform(-0.1, 0.1)) * period_seconds
        time = np.arange(count) / RATE_HZ - crest
        swell = np.exp(np.where(time < 0, time / rise_seconds, -time / fall_seconds))
        spray = np.exp(np.where(time < 0, time / (0.6 * rise_seconds), -time / foam_fall_seconds))
        surf += swell * noise(random, count, body) + 0.1 * spray * noise(random, count, foam)
    return surf * (1 + 0.1 * wander(random, count, 8))


def fire_crackling(random: np.random.Generator, count: int) -> Signal:
    """Synthesise snaps of two milliseconds, most of them faint, over a low roar and a soft hiss."""
    snaps = np.zeros(count)
    liveliness = np.maximum(0.1, 1 + 0.17 * wander(random, count, 4))
    for first_sample in random.integers(count, size=round(117 * count / RATE_HZ)):
        length = samples(0.002 * random.uniform(0.3, 1)) + 8
        time = np.arange(length)
        ring = np.sin(2 * np.pi * random.uniform(1_260, 4_770) * time / RATE_HZ)
        strength = min((random.pareto(2.3) + 0.05) * liveliness[first_sample], 5)
        snap = 0.64 * random.standard_normal(length) + 0.5 * ring
        add(snaps, first_sample, strength * snap * np.exp(-6 * time / length))
    roar = noise(random, count, tilted(band(40, 175), -3))
    hiss = noise(random, count, band(1_500, 7_500)) * (1 + 0.3 * wander(random, count, 5))
    return at_rms(filtered(snaps, band(1_260, 7_500))) + 0.6 * roar + 0.26 * hiss


def helicopter(random: np.random.Generator, count: int) -> Signal:
    """Synthesise twelve deep, soft blade slaps a second, air noise that pulses with them, and a faint turbine whine."""
    blades_hz, turbine_hz = 12.0, 940.0
    speed = 1 + 0.01 * wander(random, count, 0.7)
    turns = np.cumsum(blades_hz * speed) / RATE_HZ % 1
    slap = np.exp(-(((turns - 0.3) / 0.134) ** 2)) * (1 + 0.15 * wander(random, count, 15))
    thump = at_rms(noise(random, count, band(33, 200)) * slap)
    wash = noise(random, count, tilted(band(80, 3_900), -5.4)) * (0.33 + 0.67 * slap)
    turbine = np.cumsum(2 * np.pi * turbine_hz * speed) / RATE_HZ
    whine = np.sin(turbine) + np.sin(1.51 * turbine) + np.sin(2.02 * turbine)
    circling = 1 + 0.1 * np.sin(2 * np.pi * 0.2 * np.arange(count) / RATE_HZ + random.uniform(0, 2 * np.pi))
    return circling * (thump + 0.92 * wash + 0.1 * whine)


def chainsaw(random: np.random.Generator, count: int) -> Signal:
    """Synthesise a two-stroke engine that idles, revs up, slows under load and revs again, with exhaust and chain noise."""
    case = resonances((Formant(350, 200), Formant(1_090, 300, 1.0), Formant(4_150, 400, 0.8)), db_per_octave=-0.6)
    full_speed_hz, half_order, exhaust_gain, chain_gain, overdrive = 180.0, 0.1, 0.47, 0.54, 1.7
    revs = curve(count, [(0, 0.53), (0.1, 0.53), (0.18, 1), (0.5, 0.98), (0.55, 1), (0.62, 0.73), (0.7, 1), (1, 0.98)], 0.15)
    firing_hz = full_speed_hz * revs * (1 + 0.01 * wander(random, count, 20) + 0.003 * wander(random, count, 60))
    engine = at_rms(voice(random, firing_hz, case)) + half_order * at_rms(voice(random, firing_hz / 2, case))
    since_firing = np.cumsum(firing_hz) / RATE_HZ % 1
    exhaust = at_rms(noise(random, count, lambda hz: np.sqrt(case(hz)) * band(150, 7_000)(hz)) * np.exp(-8 * since_firing))
    chain = noise(random, count, band(2_000, 7_500)) * (1 + 0.3 * wander(random, count, 50))
    load = (engine + exhaust_gain * exhaust + chain_gain * chain) * (0.5 + 0.5 * revs)
    return np.tanh(overdrive * load)
