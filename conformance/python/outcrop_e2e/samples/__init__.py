"""AWS's public agent samples: which there are, where a clone has them, and how each is driven.

Nothing of them is kept here but names and hashes; the files are read out of clones (`OUTCROP_SAMPLES`).
"""
