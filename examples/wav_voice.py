"""A question in a WAV file, the answer in another: ``python wav_voice.py question.wav answer.wav``.

Any rate, mono or stereo, 16 bit, a tenth of a second or more. Without a key it talks to the simulator, whose words are tones:
without a file, it asks a question made of such tones, and prints what it hears in the answer.
"""

import os
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
from provider import gateway

from trunkline import (
    AssistantAudioDelta,
    AssistantTranscript,
    AssistantTurnCompleted,
    Broker,
    Config,
    UserTranscript,
)
from trunkline.gateway.audio import Pcm16
from trunkline.simulator import decode_words, encode_words

QUESTION = "What's the capital of Canada"
PATIENCE_S = 30.0


def read_wav(path: Path) -> tuple[Pcm16, int]:
    """Return a file's samples, ``(n_samples, 1 or 2) int16``, and its rate. Ends the program if it cannot be read."""
    try:
        with wave.open(str(path), "rb") as file:
            n_channels, width, rate_hz = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise SystemExit(f"{path}: not a WAV file of integers that can be read: {error!r}") from error
    if width != 2 or n_channels > 2:
        raise SystemExit(
            f"{path}: {8 * width} bit, {n_channels} channels; this example reads 16 bit, mono or stereo"
        )
    n_frames = len(data) // (2 * n_channels)  # of a file that was cut off, what is whole
    samples = np.frombuffer(data, "<i2", n_frames * n_channels).reshape(n_frames, n_channels)
    if n_frames < rate_hz / 10:
        raise SystemExit(f"{path}: {1000 * n_frames / rate_hz:.0f} ms; a provider takes 100 ms or more")
    return samples, rate_hz


def write_wav(path: Path, samples: Pcm16, rate_hz: int) -> None:
    """Write mono samples to a file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def converse(question: Path, answer: Path) -> None:
    """Ask what one file says, and write what is answered to the other."""
    samples, question_hz = read_wav(question)
    if not answer.parent.is_dir():
        raise SystemExit(f"{answer}: there is no folder {answer.parent}")
    config = Config(voice="marin", turn_detection="none", instructions="Answer in one sentence.")
    heard: list[Pcm16] = []
    rate_hz = 24_000
    with gateway() as provider, Broker.start("gpt-realtime-2", gateway=provider, config=config) as broker:
        session = broker.connect().get(timeout=PATIENCE_S)
        events = session.events()
        session.send_audio(samples, question_hz).get(timeout=PATIENCE_S)
        session.commit_audio().get(timeout=PATIENCE_S)
        for event in events:
            match event:
                case UserTranscript(text=text):
                    print(f"you: {text}")
                case AssistantAudioDelta(pcm=pcm, rate_hz=rate_hz):
                    heard.append(pcm)
                case AssistantTranscript(text=text):
                    print(f"assistant: {text}")
                case AssistantTurnCompleted(status=status):
                    print(f"the turn is {status}")
                    break
        session.close().get()
    if not heard:
        raise SystemExit("nothing was said, so nothing was written")
    write_wav(answer, np.concatenate(heard), rate_hz)


def main() -> None:
    """Read the arguments, or make a question for the simulator."""
    if len(sys.argv) == 3:
        converse(Path(sys.argv[1]), Path(sys.argv[2]))
        return
    if len(sys.argv) > 1 or os.environ.get("OPENAI_API_KEY"):
        raise SystemExit("usage: python wav_voice.py question.wav answer.wav")
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "question.wav"), Path(folder, "answer.wav")
        write_wav(question, encode_words(QUESTION, 16_000), 16_000)
        converse(question, answer)
        samples, rate_hz = read_wav(answer)
        words = [heard.word for heard in decode_words(samples[:, 0], rate_hz)]
        print(f"{answer.name}: {len(samples) / rate_hz:.1f} s at {rate_hz} Hz, it says: {' '.join(words)}")


if __name__ == "__main__":
    main()
