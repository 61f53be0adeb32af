"""Defences: what is put around a subject at evaluation time, to make it safer (SODE, arXiv 2401.00287).

The kinds are those of the paper; the words are ours, in `wording/`.
"""
