import openai
import pytest


def test_a_file_through_its_whole_life(server, client):
    content = b'{"messages": []}\n' * 1000
    made = client.files.create(file=("../a b.jsonl", content), purpose="fine-tune")
    assert (made.bytes, made.filename, made.purpose, made.status) == (17000, "../a b.jsonl", "fine-tune", "processed")
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == content
    assert client.files.wait_for_processing(made.id) == made
    twin = client.files.create(
        file=("b.jsonl", content), purpose="evals", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert twin.expires_at == twin.created_at + 3600
    assert [file.id for file in client.files.list()] == [twin.id, made.id]
    assert [file.id for file in client.files.list(purpose="evals")] == [twin.id]
    assert [file.id for file in client.files.list(limit=1, order="asc")] == [made.id, twin.id]
    assert client.files.delete(made.id).deleted
    assert client.files.content(twin.id).read() == content
    client.files.delete(twin.id)
    assert [path for path in server.services.blobs.root.rglob("*") if path.is_file()] == []
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(made.id)
    assert client.files.list().data == []


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"purpose": "world-domination"}, "purpose"),
        ({"purpose": "evals", "expires_after": {"anchor": "created_at", "seconds": 5}}, "expires_after.seconds"),
    ],
)
def test_wrong_forms(client, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("a", b"x"), **options)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_wrong_queries(client):
    for query, param in (({"limit": 0}, "limit"), ({"order": "up"}, "order")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.files.list(**query)
        assert caught.value.param == param
    with pytest.raises(openai.NotFoundError):
        client.files.list(after="file-unknown")


def test_damage_on_disk_is_never_served_whole(server, client):
    made = client.files.create(file=("a", b"abc"), purpose="evals")
    path = next(path for path in server.services.blobs.root.rglob("*") if path.is_file())
    path.write_bytes(b"abd")
    with pytest.raises(openai.InternalServerError, match="damaged"):
        client.files.content(made.id)
