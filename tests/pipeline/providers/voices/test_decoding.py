import io

import av
import numpy as np
import pytest

from pipeline.providers.voices.decoding import decoded

RATE = 44_100


def mp3(seconds: float, *, layout: str = "mono", rate: int = RATE) -> bytes:
    channels = 2 if layout == "stereo" else 1
    time = np.arange(round(seconds * rate)) / rate
    samples = np.tile(0.3 * np.sin(2 * np.pi * 440 * time), (channels, 1)).astype(np.float32)
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(("layout", "rate"), [("mono", RATE), ("stereo", RATE), ("mono", 22_050)])
def test_an_mp3_becomes_mono_samples_of_its_length(layout: str, rate: int) -> None:
    samples = decoded(mp3(1.5, layout=layout, rate=rate), 48_000)
    assert samples.dtype == np.float32
    assert samples.size / 48_000 == pytest.approx(1.5, abs=0.06)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 48_000 / samples.size == pytest.approx(440, abs=2)


@pytest.mark.parametrize("data", [b"", b"hello", b"<html></html>" * 200, b"\x00" * 5000])
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no MP3|no sound"):
        decoded(data, 48_000)


def test_the_end_of_a_cut_file_is_missing_and_nothing_worse() -> None:
    whole = mp3(1.5)
    assert 0 < decoded(whole[: len(whole) // 2], 48_000).size < 48_000
