"""Knowledge bases made with boto3, and folders that are their buckets."""

import json
import time

from . import agents
from .process import request

MODEL = "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0"
# How long a job of a handful of documents may take.
JOB_S = 30


def embeddings(url):
    """The `[[embeddings]]` entry that sends every model to an OpenAI-compatible server."""
    return f'[[embeddings]]\nmatch = "*"\nprovider = "openai"\nbase_url = "{url}"\napi_key_env = "STUB_API_KEY"\n'


def rerankers(url):
    """The `[[rerankers]]` entry that sends every reranker to a server of Cohere's protocol."""
    return f'[[rerankers]]\nmatch = "*"\nprovider = "cohere"\nbase_url = "{url}"\napi_key_env = "STUB_API_KEY"\n'


def link(server, bucket, folder):
    """Makes a folder a bucket of a server on this machine."""
    status, _, body = request("PUT", f"{server.url}/_outcrop/v1/buckets/{bucket}", {"folder": str(folder)})
    assert status == 200, body


def by_words(server, base, text, number=5):
    """`retrievalResults` of a search by words alone, which only Outcrop's own API has."""
    url = f"{server.url}/_outcrop/v1/knowledge-bases/{base}/search"
    status, _, body = request("POST", url, {"text": text, "numberOfResults": number})
    assert status == 200, body
    return json.loads(body)["retrievalResults"]


def write(folder, files):
    """Writes a folder: path -> text or bytes; `None` removes the file."""
    for path, content in files.items():
        file = folder / path
        if content is None:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def create(control, **more):
    """The id of a new knowledge base."""
    made = control.create_knowledge_base(
        name=agents.unique("kb"),
        roleArn=agents.ROLE,
        knowledgeBaseConfiguration={
            "type": "VECTOR",
            "vectorKnowledgeBaseConfiguration": {"embeddingModelArn": MODEL},
        },
        **more,
    )["knowledgeBase"]["knowledgeBaseId"]
    agents.settle(lambda: control.get_knowledge_base(knowledgeBaseId=made)["knowledgeBase"]["status"])
    return made


def s3_source(control, base, bucket, prefix=None, vectors=None, **more):
    """The id of a new data source that reads a bucket."""
    s3 = {"bucketArn": f"arn:aws:s3:::{bucket}", **({"inclusionPrefixes": [prefix]} if prefix else {})}
    if vectors:
        more["vectorIngestionConfiguration"] = vectors
    return source(control, base, {"type": "S3", "s3Configuration": s3}, **more)


def source(control, base, configuration, **more):
    """The id of a new data source."""
    return control.create_data_source(
        knowledgeBaseId=base, name=agents.unique("source"), dataSourceConfiguration=configuration, **more
    )["dataSource"]["dataSourceId"]


def chunking(strategy, **more):
    """`vectorIngestionConfiguration` of a strategy."""
    return {"chunkingConfiguration": {"chunkingStrategy": strategy, **more}}


def start(control, base, data_source):
    """The id of a new job."""
    started = control.start_ingestion_job(knowledgeBaseId=base, dataSourceId=data_source)["ingestionJob"]
    return started["ingestionJobId"]


def job(control, base, data_source, job_id):
    """A job as it is now."""
    return control.get_ingestion_job(knowledgeBaseId=base, dataSourceId=data_source, ingestionJobId=job_id)[
        "ingestionJob"
    ]


def end(control, base, data_source, job_id, within=JOB_S):
    """Waits for a job's end; returns it."""
    deadline = time.monotonic() + within
    while (found := job(control, base, data_source, job_id))["status"] not in ("COMPLETE", "FAILED", "STOPPED"):
        assert time.monotonic() < deadline, f"the job is not at its end: {found}"
        time.sleep(0.02)
    return found


def ingest(control, base, data_source, within=JOB_S):
    """Runs a job to its end; returns its statistics, those that are 0 left out, in short names."""
    ended = end(control, base, data_source, start(control, base, data_source), within)
    assert ended["status"] == "COMPLETE", ended
    return counts(ended)


def counts(ended):
    """Statistics by short names, without those that are 0."""
    short = {
        "numberOfDocumentsScanned": "scanned",
        "numberOfMetadataDocumentsScanned": "metadata scanned",
        "numberOfNewDocumentsIndexed": "new",
        "numberOfModifiedDocumentsIndexed": "modified",
        "numberOfMetadataDocumentsModified": "metadata modified",
        "numberOfDocumentsDeleted": "deleted",
        "numberOfDocumentsFailed": "failed",
        "numberOfDocumentsSkipped": "skipped",
    }
    return {short[name]: count for name, count in ended["statistics"].items() if count}


def documents(control, base, data_source):
    """All documents of a data source: id or URI -> (status, reason)."""
    found, token = {}, None
    while True:
        page = control.list_knowledge_base_documents(
            knowledgeBaseId=base, dataSourceId=data_source, maxResults=1000, **({"nextToken": token} if token else {})
        )
        for detail in page["documentDetails"]:
            identifier = detail["identifier"]
            name = identifier.get("s3", {}).get("uri") or identifier.get("custom", {}).get("id")
            found[name] = (detail["status"], detail.get("statusReason", ""))
        token = page.get("nextToken")
        if not token:
            return found


def retrieve(runtime, base, text, number=5, kind=None, **search):
    """`retrievalResults`."""
    search["numberOfResults"] = number
    if kind:
        search["overrideSearchType"] = kind
    return runtime.retrieve(
        knowledgeBaseId=base,
        retrievalQuery={"text": text},
        retrievalConfiguration={"vectorSearchConfiguration": search},
    )["retrievalResults"]


def uri(result):
    """Where a result comes from."""
    location = result["location"]
    places = (("s3Location", "uri"), ("customDocumentLocation", "id"), ("webLocation", "url"))
    return next(location[place][member] for place, member in places if place in location)


def key(result):
    """The key of a result in its bucket."""
    return uri(result).split("/", 3)[3]


def custom(identifier, text, **attributes):
    """A document for IngestKnowledgeBaseDocuments."""
    made = {
        "content": {
            "dataSourceType": "CUSTOM",
            "custom": {
                "customDocumentIdentifier": {"id": identifier},
                "sourceType": "IN_LINE",
                "inlineContent": {"type": "TEXT", "textContent": {"data": text}},
            },
        }
    }
    if attributes:
        inline = [{"key": name, "value": typed(value)} for name, value in attributes.items()]
        made["metadata"] = {"type": "IN_LINE_ATTRIBUTE", "inlineAttributes": inline}
    return made


def typed(value):
    """A `MetadataAttributeValue`."""
    if isinstance(value, bool):
        return {"type": "BOOLEAN", "booleanValue": value}
    if isinstance(value, (int, float)):
        return {"type": "NUMBER", "numberValue": float(value)}
    if isinstance(value, list):
        return {"type": "STRING_LIST", "stringListValue": value}
    return {"type": "STRING", "stringValue": value}
