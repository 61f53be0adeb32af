"""Words that say nothing about a subject."""

from __future__ import annotations

_WORDS = """
    a about above after again against all also am an and any are as at be because been before
    being below between both but by can can't cannot could did do does doing don't down during each
    few for from further get give had has have having he her here hers herself him himself his how
    i i'd i'll i'm i've if in into is isn't it it's its itself just know let like make may me might
    more most must my myself no nor not now of off on once one only or other our ours ourselves out
    over own please same shall she should so some such tell than that that's the their theirs them
    themselves then there these they they're this those through to too under until up upon us use
    very want was way ways we we're were what when where which while who whom why will with without
    won't would write you you'd you'll you're you've your yours yourself yourselves step steps
    provide explain describe detailed instructions list give
"""
STOPWORDS = frozenset(_WORDS.split())
