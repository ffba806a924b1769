import hashlib
import io

import openai
import pytest

CONTENT = bytes(range(256)) * 50


def open_upload(client, **options):
    options = {"bytes": len(CONTENT), "filename": "a.jsonl", "mime_type": "text/jsonl", **options}
    return client.uploads.create(purpose="fine-tune", **options)


def test_parts_become_a_file(server, client):
    upload = open_upload(client, expires_after={"anchor": "created_at", "seconds": 7200})
    second = client.uploads.parts.create(upload.id, data=CONTENT[5000:])
    first = client.uploads.parts.create(upload.id, data=CONTENT[:5000])
    md5 = hashlib.md5(CONTENT).hexdigest()
    done = client.uploads.complete(upload.id, part_ids=[first.id, second.id], md5=md5)
    assert (done.status, done.file.purpose, done.file.bytes) == ("completed", "fine-tune", len(CONTENT))
    assert done.file.expires_at - done.file.created_at in (7200, 7201)
    assert client.files.content(done.file.id).read() == CONTENT
    assert len([path for path in server.services.blobs.root.rglob("*") if path.is_file()]) == 1
    with pytest.raises(openai.BadRequestError, match="completed"):
        client.uploads.complete(upload.id, part_ids=[])


def test_the_sdks_own_way_in_chunks(client):
    done = client.uploads.upload_file_chunked(
        file=CONTENT, filename="b", bytes=len(CONTENT), mime_type="text/jsonl", purpose="batch", part_size=4000
    )
    assert client.files.content(done.file.id).read() == CONTENT


def test_parts_that_do_not_fit(server, client):
    upload = open_upload(client)
    part = client.uploads.parts.create(upload.id, data=io.BytesIO(CONTENT))
    for part_ids in (["part_other"], [part.id, part.id]):
        with pytest.raises(openai.BadRequestError, match="part_ids"):
            client.uploads.complete(upload.id, part_ids=part_ids)
    with pytest.raises(openai.BadRequestError, match="announced"):
        client.uploads.complete(upload.id, part_ids=[])
    with pytest.raises(openai.BadRequestError, match="MD5"):
        client.uploads.complete(upload.id, part_ids=[part.id], md5="0" * 32)
    assert client.uploads.cancel(upload.id).status == "cancelled"
    assert [path for path in server.services.blobs.root.rglob("*") if path.is_file()] == []
    with pytest.raises(openai.BadRequestError, match="cancelled"):
        client.uploads.parts.create(upload.id, data=b"x")


def test_another_project_has_no_part_in_it(server, client):
    upload = open_upload(client)
    other = server.client(server.new_key("other"))
    for method in (
        lambda: other.uploads.parts.create(upload.id, data=b"x"),
        lambda: other.uploads.complete(upload.id, part_ids=[]),
        lambda: other.uploads.cancel(upload.id),
    ):
        with pytest.raises(openai.NotFoundError):
            method()
