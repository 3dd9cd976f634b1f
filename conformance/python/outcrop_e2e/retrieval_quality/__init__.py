"""How good retrieval is, on public test collections with human judgements.

    OUTCROP_SAMPLES=/where/clones/are python -m outcrop_e2e.retrieval_quality --help

Each collection is ingested through the API and asked all its questions. Next to Outcrop's numbers stand
those of the same model under exact search, computed here in numpy from the same weights, so that what is
lost between the model and the answer shows. The collections are read out of clones and never kept here;
`collections.toml` says which, with digests.
"""
