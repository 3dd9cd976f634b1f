"""The test collections: documents, questions, and which document answers which question."""

import ast
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import tokenize
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

SOURCES = tomllib.loads(Path(__file__).with_name("collections.toml").read_text())


@dataclass
class Corpus:
    """A collection with its judgements."""

    name: str
    # id -> text, the title first, as BEIR has a model read it.
    documents: dict
    # id -> text
    questions: dict
    # question id -> {document id: gain}
    judgements: dict


def read(source, path):
    """A file of a clone at its listed commit."""
    entry = SOURCES[source]
    folder = Path(os.environ["OUTCROP_SAMPLES"]) / entry["repository"].replace("/", "+") / "repo"
    found = subprocess.run(
        ["git", f"--git-dir={folder}", "show", f"{entry['commit']}:{path}"], capture_output=True, check=True
    ).stdout
    digest = hashlib.sha256(found).hexdigest()
    if digest != entry["files"][path]:
        raise LookupError(f"{path} has the SHA-256 digest {digest}, not {entry['files'][path]}")
    return found


def scifact():
    """SciFact as BEIR has it: 5,183 abstracts, 300 claims of the test set."""
    csv.field_size_limit(10**8)
    with zipfile.ZipFile(io.BytesIO(read("scifact", "data/scifact.zip"))) as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("corpus_train.csv"), encoding="utf-8")))
    documents = {row["doc_id"]: f"{row['title']} {' '.join(sentences(row['abstract']))}" for row in rows}
    lines = read("scifact-questions", "scifact/queries.jsonl").decode().splitlines()
    questions = {line["_id"]: line["text"] for line in map(json.loads, lines)}
    judgements = {}
    for line in read("scifact-questions", "scifact/qrels/test.tsv").decode().splitlines()[1:]:
        question, document, gain = line.split("\t")
        if int(gain) > 0:
            judgements.setdefault(question, {})[document] = int(gain)
    assert len(documents) == 5183 and len(judgements) == 300, (len(documents), len(judgements))
    return corpus("SciFact", documents, questions, judgements)


def sentences(array):
    """The strings of an array as numpy prints it."""
    tokens = tokenize.generate_tokens(io.StringIO(array).readline)
    return [ast.literal_eval(token.string) for token in tokens if token.type == tokenize.STRING]


def cranfield():
    """Cranfield: 1,400 abstracts on aerodynamics, 225 questions. A document judged 1 to 4 is relevant; the
    grades are not used, since copies of the collection disagree on which end is the better one."""
    documents = {}
    records = re.split(r"^\.I ", text("cran.all.1400"), flags=re.MULTILINE)[1:]
    for record in records:
        number, _, rest = record.partition("\n")
        title = re.search(r"^\.T\n(.*?)^\.A", rest, re.MULTILINE | re.DOTALL).group(1)
        abstract = rest.partition("\n.W\n")[2]
        # The abstract begins with the title again.
        whole = abstract if abstract.startswith(title) else title + abstract
        documents[number.strip()] = " ".join(whole.split())
    asked = re.split(r"^\.I .*\n\.W\n", text("cran.qry"), flags=re.MULTILINE)[1:]
    questions = {str(number): " ".join(one.split()) for number, one in enumerate(asked, 1)}
    judgements = {}
    for line in read("cranfield", "QRelsCorrectedforTRECeval").decode().splitlines():
        question, _, document, grade = line.split()
        if 1 <= int(grade) <= 4:
            judgements.setdefault(question, {})[document] = 1
    # One of its documents is only a title, and some have nothing at all.
    documents = {number: whole for number, whole in documents.items() if whole}
    return corpus("Cranfield", documents, questions, judgements)


def text(path):
    """A file of Cranfield."""
    return read("cranfield", path).decode("latin-1").replace("\r", "")


def corpus(name, documents, questions, judgements):
    questions = {question: questions[question] for question in judgements}
    return Corpus(name, documents, questions, judgements)


CORPORA = {"scifact": scifact, "cranfield": cranfield}
