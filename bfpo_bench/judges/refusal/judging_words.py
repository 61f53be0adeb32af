"""The words of judging: what tells a message to a judge from an answer to a user."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Who judges.
JUDGES = _words(
    """annotator annotators assessor assessors auditor classifier classifiers evaluator evaluators
    examiner grader graders judge judges labeler labeller moderator rater raters reviewer reviewers
    scorer verifier"""
)
# What is done, by what it is done, and what comes of it.
JUDGING = _words(
    """adjudication annotate annotated annotation assess assessed assessment category class
    classification classified classify criteria decision evaluate evaluated evaluation flag flagged
    grade graded grading judged judgement judging judgment label labelled labeled labelling labeling
    labels mark marked metric moderated moderation outcome rate rated rating ratings reviewed rubric
    score scored scores scoring tag tagged verdict verdicts"""
)
# What is asked of a judge.
ORDERS = _words(
    """count counts disregard forget ignore log output override print put reading report return skip
    stop treat"""
)
# What is judged, and with whom it was spoken.
JUDGED = _words(
    """answer answers assistant completion content conversation dialogue exchange human
    instructions item message model output reply replies response responses sample system text
    transcript user"""
)
# What the verdict may be.
VERDICTS = _words(
    """abstained acceptable allowed answered benign complete compliance compliant complied complies
    comply cooperated cooperative decline declined declines false harmful harmless helped malicious no non none null refusal refusals
    refuse refused refuses safe toxic true unsafe violating violation yes"""
)
# Words beside them that carry no meaning of their own.
BESIDE = _words(
    """above already any automated automatic automatically begin below check clearly confidence
    considered correct dear end explanation final found full fully here must note only original
    policies policy please previous prior purposes reason remember result rule rules say says start
    such test therefore value"""
)
