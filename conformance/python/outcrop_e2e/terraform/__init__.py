"""Real Terraform with the real AWS provider against Outcrop: the tools, the cases, and what runs them.

The configurations are the HCL files of `conformance/terraform`; `cases` says which of them, with which
variables, in which steps, and what must then hold; `batch` runs all chosen cases as one configuration.
"""
