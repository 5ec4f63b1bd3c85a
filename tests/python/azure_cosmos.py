"""The official client of Cosmos DB, as a judge of what the product wrote there.

    azure_cosmos.py ENDPOINT KEY DATABASE CONTAINER   prints what it finds in the partition `documents`, as JSON, and what a
                                                      change of the item `changed` with the client's own ETag came to
"""

import json
import sys

from azure.core import MatchConditions
from azure.cosmos import CosmosClient
from azure.cosmos.exceptions import CosmosAccessConditionFailedError


def main(endpoint, key, database, container):
    # With discovery it would look for a second region of an account that has one.
    client = CosmosClient(endpoint, credential=key, enable_endpoint_discovery=False)
    container = client.get_database_client(database).get_container_client(container)
    properties = container.read()
    partition = ["documents", ""]
    read = container.read_item("changed", partition_key=partition)
    listed = list(container.query_items("SELECT * FROM c ORDER BY c.id", partition_key=partition))
    every = list(container.query_items("SELECT VALUE c.kind FROM c", enable_cross_partition_query=True))

    etag, change = read["_etag"], dict(read, body={"by": "the client"})
    matches = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    container.replace_item(read["id"], change, **matches)
    try:
        container.replace_item(read["id"], change, **matches)
        second = "done"
    except CosmosAccessConditionFailedError:
        second = "refused"
    found = {
        "paths": properties["partitionKey"]["paths"],
        "default_ttl": properties["defaultTtl"],
        "etag": etag,
        "listed": [{name: item.get(name) for name in ("id", "scope", "body", "ttl")} for item in listed],
        "kinds": sorted(every),
        "second": second,
    }
    print(json.dumps(found))


main(*sys.argv[1:])
