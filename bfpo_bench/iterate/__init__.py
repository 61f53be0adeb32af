"""Iterative alignment: generate, judge, build pairs, train, measure, again: `bfpo-bench iterate`.

asked.py, folder.py, gate.py (pure): what is asked, where it lies, whether a round made things worse
loop.py: the rounds in order; state.py: what of them is done; acts.py: how each part is done
"""
