"""Images become data URIs by what they are, not by what they are called."""

import base64
from typing import Any

import pytest

from trunkline.gateway.errors import ConfigError
from trunkline.gateway.images import image_data_uri

# the smallest files of their kinds, as their formats' own first bytes say
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(20)


@pytest.mark.parametrize(("data", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg")])
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_bytes_become_a_data_uri_of_their_kind(data: bytes, kind: str, wrap: Any):
    head, _, payload = image_data_uri(wrap(data)).partition(",")
    assert head == f"data:{kind};base64"
    assert base64.b64decode(payload, validate=True) == data


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_data_uri_is_taken_as_it_is(kind: str):
    uri = f"data:image/{kind};base64,AAEC"
    assert image_data_uri(uri) == uri


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        PNG[1:],
        b"GIF89a" + bytes(10),
        b"RIFF\x00\x00\x00\x00WEBP",
        "",
        "picture.png",
        "https://example.com/picture.png",
        "data:image/gif;base64,AAEC",
        "data:image/png,AAEC",
        "data:image/png;base64,",
        "data:image/png;base64,A A",
        "data:image/png;base64,AAEC\n",
        None,
        7,
        [PNG],
    ],
)
def test_what_is_neither_png_nor_jpeg_is_refused_with_what_would_be(wrong: Any):
    with pytest.raises(ConfigError) as refused:
        image_data_uri(wrong)
    assert refused.value.field == "image"
    assert "PNG" in refused.value.allowed
    assert "JPEG" in refused.value.allowed
    assert len(str(refused.value)) < 400, "an image in a message helps nobody"
