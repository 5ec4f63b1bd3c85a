"""The official client of Azure AI Search, as a judge of our stand-in for the service and of the product's index.

    azure_search.py conform ENDPOINT KEY          uses what the product uses; fails at the first surprise
    azure_search.py read ENDPOINT KEY ALIAS TEXT  prints what the client finds in the product's index, as JSON
"""

import json
import sys

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.search.documents import SearchClient
from azure.search.documents.indexes import SearchIndexClient
from azure.search.documents.indexes.models import (
    CustomAnalyzer,
    HnswAlgorithmConfiguration,
    SearchAlias,
    SearchField,
    SearchIndex,
    SemanticConfiguration,
    SemanticField,
    SemanticPrioritizedFields,
    SemanticSearch,
    VectorSearch,
    VectorSearchProfile,
)
from azure.search.documents.models import VectorizedQuery


def fails(kind, work):
    """That work fails in this way and no other."""
    try:
        work()
    except kind as error:
        return error
    raise AssertionError(f"it did not fail with {kind.__name__}")


def definition(name):
    text = {"type": "Edm.String", "filterable": False, "sortable": False, "facetable": False}
    return SearchIndex(
        name=name,
        fields=[
            SearchField(name="id", type="Edm.String", key=True, searchable=False),
            SearchField(name="text", searchable=True, analyzer_name="en.lucene", **text),
            SearchField(name="number", type="Edm.Int32", filterable=True, sortable=True),
            SearchField(name="readers", type="Collection(Edm.String)", filterable=True, retrievable=False),
            SearchField(
                name="vector",
                type="Collection(Edm.Single)",
                searchable=True,
                vector_search_dimensions=3,
                vector_search_profile_name="p",
            ),
        ],
        vector_search=VectorSearch(
            algorithms=[HnswAlgorithmConfiguration(name="h")],
            profiles=[VectorSearchProfile(name="p", algorithm_configuration_name="h")],
        ),
        semantic_search=SemanticSearch(
            configurations=[
                SemanticConfiguration(
                    name="s",
                    prioritized_fields=SemanticPrioritizedFields(content_fields=[SemanticField(field_name="text")]),
                )
            ]
        ),
    )


def conform_indexes(indexes):
    created = indexes.create_index(definition("books-v1"))
    assert created.name == "books-v1" and created.e_tag and len(created.fields) == 5
    assert fails(HttpResponseError, lambda: indexes.create_index(definition("books-v1"))).status_code == 409
    grown = indexes.get_index("books-v1")
    grown.fields.append(SearchField(name="title", type="Edm.String", searchable=True))
    grown = indexes.create_or_update_index(grown)
    assert [field.name for field in grown.fields][-1] == "title"
    changed = indexes.get_index("books-v1")
    next(field for field in changed.fields if field.name == "vector").vector_search_dimensions = 4
    assert fails(HttpResponseError, lambda: indexes.create_or_update_index(changed)).status_code == 400
    assert "books-v1" in list(indexes.list_index_names())
    indexes.create_or_update_alias(SearchAlias(name="books", indexes=["books-v1"]))
    assert indexes.get_alias("books").indexes == ["books-v1"]


def conform_documents(books):
    rows = [
        {"id": "a", "text": "the harbour wall", "number": 1, "readers": ["everyone"], "vector": [1.0, 0.0, 0.0]},
        {"id": "b", "text": "a harbour buoy", "number": 2, "readers": ["user:x"], "vector": [0.0, 1.0, 0.0]},
        {"id": "c", "text": "annual leave", "number": 3, "readers": ["everyone", "user:x"], "vector": [0.0, 0.0, 1.0]},
    ]
    assert [result.status_code for result in books.upload_documents(rows)] == [201, 201, 201]
    assert [result.status_code for result in books.merge_documents([{"id": "a", "number": 9}])] == [200]
    failed = books.merge_documents([{"id": "nobody", "number": 9}])
    assert [(result.succeeded, result.status_code) for result in failed] == [(False, 404)]
    assert books.get_document("a")["number"] == 9 and "readers" not in books.get_document("a")
    fails(ResourceNotFoundError, lambda: books.get_document("nobody"))
    assert books.get_document_count() == 3
    strange = fails(HttpResponseError, lambda: books.upload_documents([{"id": "d", "colour": "red"}]))
    assert strange.status_code == 400

    keys = lambda **question: [row["id"] for row in books.search(**question)]
    assert keys(search_text="harbour", select=["id"], order_by=["number desc"]) == ["a", "b"]
    assert keys(search_text="harbour", filter="readers/any(r: search.in(r, 'everyone|z', '|'))") == ["a"]
    assert keys(filter="number ge 3 and number lt 9", search_text="*") == ["c"]
    near = VectorizedQuery(vector=[0.0, 0.1, 1.0], k_nearest_neighbors=1, fields="vector")
    assert keys(vector_queries=[near]) == ["c"]
    assert set(keys(search_text="wall", vector_queries=[near], vector_filter_mode="preFilter")) == {"a", "c"}
    counted = books.search(search_text="harbour", include_total_count=True, top=1)
    assert len(list(counted)) == 1 and counted.get_count() == 2
    by_meaning = {"query_type": "semantic", "semantic_configuration_name": "s", "semantic_error_mode": "partial"}
    ranked = list(books.search(search_text="wall", **by_meaning))
    assert ranked[0]["id"] == "a" and ranked[0]["@search.reranker_score"] > 0
    for refused in ["text eq 'x'", "id gt 'a'", "number eq 'a'", "nobody eq 1", "search.ismatch('x')"]:
        assert fails(HttpResponseError, lambda: keys(search_text="*", filter=refused)).status_code == 400, refused
    assert [result.status_code for result in books.delete_documents([{"id": "b"}, {"id": "nobody"}])] == [200, 200]
    assert books.get_document_count() == 2


def conform(endpoint, key):
    credential = AzureKeyCredential(key)
    indexes = SearchIndexClient(endpoint, credential)
    conform_indexes(indexes)
    conform_documents(SearchClient(endpoint, "books", credential))
    statistics = indexes.get_index_statistics("books-v1")
    assert statistics.document_count == 2 and statistics.storage_size > 0
    stranger = SearchClient(endpoint, "books", AzureKeyCredential("wrong"))
    refused = fails(HttpResponseError, stranger.get_document_count)
    assert refused.status_code == 403
    older = SearchClient(endpoint, "books", credential, api_version="2020-06-30")
    assert fails(HttpResponseError, older.get_document_count).status_code == 400
    indexes.delete_alias("books")
    indexes.delete_index("books-v1")
    fails(ResourceNotFoundError, lambda: indexes.get_index("books-v1"))
    print(json.dumps("conforms"))


def read(endpoint, key, alias, text):
    credential = AzureKeyCredential(key)
    indexes = SearchIndexClient(endpoint, credential)
    behind = indexes.get_alias(alias).indexes[0]
    index = indexes.get_index(behind)
    client = SearchClient(endpoint, alias, credential)
    marks = "readers/any(r: search.in(r, 'everyone', '|'))"
    found = client.search(search_text=text, filter=f"kind eq 'passage' and {marks}", select=["name", "text", "page"])
    print(
        json.dumps(
            {
                "index": index.name,
                "key": [field.name for field in index.fields if field.key],
                "analyzers": [type(analyzer).__name__ for analyzer in index.analyzers],
                "steps": index.analyzers[0].token_filters if isinstance(index.analyzers[0], CustomAnalyzer) else None,
                "rows": client.get_document_count(),
                "found": [{name: row[name] for name in ("name", "text", "page")} for row in found],
            }
        )
    )


if __name__ == "__main__":
    {"conform": conform, "read": read}[sys.argv[1]](*sys.argv[2:])
