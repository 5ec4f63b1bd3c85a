"""The official client of Azure Blob Storage, as a judge of what the product writes.

    azure_storage.py CONTAINER          reads one object of JSON on standard input, which says where and how:
        {"connection_string": …} or {"account_url": …, "token": …, "trusted": FILE}
    It prints every blob as JSON: name, size, metadata, ETag, and the SHA-256 of what it downloads. Then it writes
    `from-python.txt` with metadata, on the condition that there is none, and fails when a second such write succeeds.
"""

import hashlib
import json
import sys
import time

from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient


class OneToken:
    """A credential that has one token and gives it to nobody but storage."""

    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **_options):
        assert scopes == ("https://storage.azure.com/.default",), scopes
        return AccessToken(self.token, int(time.time()) + 3600)


# The newest version that Azurite knows.
VERSION = "2026-06-06"


def service(place):
    if "connection_string" in place:
        return BlobServiceClient.from_connection_string(place["connection_string"], api_version=VERSION)
    credential = OneToken(place["token"])
    options = {"api_version": VERSION, "connection_verify": place["trusted"]}
    return BlobServiceClient(place["account_url"], credential=credential, **options)


def told(container, item):
    content = container.download_blob(item.name, max_concurrency=4).readall()
    return {
        "name": item.name,
        "size": item.size,
        "etag": item.etag.strip('"'),
        "metadata": item.metadata or {},
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def main():
    container = service(json.load(sys.stdin)).get_container_client(sys.argv[1])
    found = [told(container, item) for item in container.list_blobs(include=["metadata"])]
    write = lambda: container.upload_blob("from-python.txt", b"from Python", metadata={"owner": "t1/ann"}, overwrite=False)
    write()
    try:
        write()
    except ResourceExistsError:
        print(json.dumps(found))
        return
    raise AssertionError("a condition that does not hold was not kept to")


main()
