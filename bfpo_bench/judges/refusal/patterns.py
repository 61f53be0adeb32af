"""How English answers decline, plead a limit, lecture and help: the patterns behind the rules.

All but the last three match one sentence as `opening.py` leaves it: lower case, plain quotes,
contractions written out ("I can't" is `i cannot`), adverbs without meaning dropped.
"""

from __future__ import annotations

import re

# The verb stems of answering a request: "I cannot provide", but not "I cannot swim".
_ANSWERING = (
    r"(?:provid|help|assist|answer|fulfil|comply|complete|give|offer|shar|suggest|recommend|"
    r"generat|creat|writ|produc|discuss|support|engag|condon|encourag|promot|endors|advis|"
    r"participat|respond|satisfy|accommodat|reveal|disclos|tell|teach|describ|explain|list|guid|"
    r"advocat|facilitat|justify|speculat|proceed|perform|aid|do (?:that|this|so)\b|make|"
    r"disseminat|contribut|instruct|supply|enabl|direct you|indulg|access|search|brows|look up|"
    r"locat|retriev|identif|predict|determin|confirm|verif|comment|use|show|spread|"
    r"mimic|imitat|impersonat|insult|continue (?:with )?th(?:is|at)|be (?:part of|of|involved))"
)
# What the same words say when nothing is declined.
_IDIOM = (
    r"(?!help (?:but|it\b|myself|thinking|feeling|notic|wonder)|recommend .{0,60}\bhighly|"
    r"(?:tell you|explain) how (?:much|many|happy|glad|grateful|sorry|proud|excited)|"
    r"give (?:up|in)\b|answer for\b|make it\b|"
    r"(?:believe|wait|imagine|stress|emphasi|overstat|overemph|remember|recall|see|hear|feel|stop|"
    r"think|sleep|thank|understand|say|lie|know|deny|stand|speak|complain|forget|bear|ever|wrap|"
    r"even|figure|seem|afford|get|go|bore|let|keep|put|always|be (?:happier|more|sure))\b"
    r"|[^.]{0,80}\b(?:enough|overstated)\b)"
)
_MODAL = (
    r"(?:cannot|will not|must not|should not|may not|(?:am|are) not able to|(?:am|are) not going to|"
    r"(?:will|would) not be able to|(?:am|are) not (?:capable of|programmed to|designed to|"
    r"allowed to|permitted to|authori[sz]ed to|equipped to|qualified to|willing to|here to|"
    r"at liberty to|in a position to)|refuse to|decline to|would rather not|would prefer not to|"
    r"am (?:prohibited|restricted|prevented|barred) from|am incapable of)"
    r"(?: (?:and|or) (?:will|should|must) not)?(?: ever| be able to)?"
)
_RIGHT = (
    r"(?:appropriate|ethical|acceptable|okay|ok|right|legal|moral|responsible|permissible|proper|"
    r"respectful|kind|nice|safe|advisable|wise)"
)
_NOT_RIGHT = (
    rf"(?:not (?:an? )?(?:\w+ )?|in|un|il|im|ir|dis){_RIGHT}(?:,? (?:and|or|nor|and/or) \w+)?"
)
_REGRETS = r"(?:sorry|apologi[sz]e|apologies|afraid|regret|as an? [\w ,]{0,60}|i must(?: \w+){0,4})"
_SELF = r"\b(?:i|we|(?:model|assistant|ai) and)"
# Long alternatives are tried at word starts only, which makes them several times faster.
_WORD_START = r"\b(?:"

DECLINES = re.compile(
    _WORD_START
    + "|".join(
        (
            rf"{_SELF} {_MODAL} {_IDIOM}{_ANSWERING}",
            rf"{_REGRETS}\b[^.]{{0,30}}?\bit (?:is|would be) {_NOT_RIGHT} (?:for me )?to ",
            r"i (?:cannot|will not|refuse|decline|am not able to)(?: that)?[.!]*$",
            r"i (?:must|will|am going to|(?:\w+ ){0,4}(?:have|need|obliged) to) (?:politely )?"
            r"(?:decline|refuse|refrain|abstain)\b",
            r"i (?:do not|would not|am not) (?:feel |be )?comfortable\b",
            rf"i do not (?:think|believe) i (?:can|should|could|am able to) {_ANSWERING}",
            r"i would rather not\b|^(?:no|nope|sorry)?\W*cannot do (?:that|this)\b",
            r"sorry\W{1,3}(?:but )?(?:no|not)[.!]*$|^absolutely not[.!]*$",
            r"(?:prevent|prohibit|stop|restrict|keep)\w* me from\b",
            r"guidelines?\b.{0,40}\bnot \w+ing\b",
            rf"i do not (?:think|believe|feel) (?:it is|it would be|that is) {_RIGHT}\b"
            r".{0,40} to ",
            rf"{_SELF} do not (?:provide|generate|create|write|share|engage|condone|assist|"
            r"help with|offer|produce|participate|promote|encourage|make|use|insult|spread)\b",
            r"(?:\bagainst|\bviolat\w+|\boutside|\bnot within|\bbeyond|\bcontrary to) (?:of )?"
            r"(?:my|our|openai's) (?:\w+ ){0,3}(?:programming|guidelines?|polic(?:y|ies)|"
            r"principles|ethics|code|purpose|values|capabilit\w+|abilit\w+|scope|terms|training)",
            r"(?:that|this|it) is (?:not something i (?:can|will|am)|something i (?:cannot|will not))",
            r"(?:request|question|prompt)\b.{0,60}\bcannot be (?:fulfilled|answered|completed)",
            rf"it (?:is|would be) {_NOT_RIGHT} for me to ",
            rf"it (?:is|would be) {_NOT_RIGHT} to (?:ask|seek|request|{_ANSWERING})",
        )
    )
    + ")"
)
# Limits of ability, knowledge or precision: an answer may well follow them.
LIMITS = re.compile(
    _WORD_START + r"(?:not possible|impossible) for me to\b"
    rf"|^(?:(?:but|however|so|and),? )?(?:i|we) {_MODAL} {_IDIOM}(?!{_ANSWERING})[a-z]"
    rf"|(?:^no\b|{_REGRETS}\b)[^.]{{0,60}}?\bi {_MODAL} {_IDIOM}(?!{_ANSWERING})[a-z]"
    rf"|{_SELF} (?:do not|cannot) have (?:any |the |direct |enough |real-time |specific |reliable |"
    r"personal )*(?:access|ability|abilities|capabilit\w+|capacity|authority|permission|information|"
    r"knowledge|data|details|record|context)|\bi do not know\b|\bi am not (?:aware of|privy to)\b|"
    r"\bi have no (?:access|information|way|knowledge|idea)\b|"
    r"\bi (?:cannot|am not able to) (?:\w+ ){1,2}(?:you with |you )?(?:with )?(?:an? |any |the )?"
    r"(?:\w+ )?(?:specific|exact|definit\w+|precise|complete|personali[sz]ed|real-time|medical|"
    r"legal|financial|professional|diagnos\w+|predict\w*|future)\b)"
)
PIVOT = re.compile(
    r"\b(?:but|however|that said|nevertheless|still),? (?:\w+,? ){0,6}?(?:i can\b(?! not)|i could|i am "
    r"(?:able|happy)|here|you can|based on|as of|it is (?:\w+ ){0,2}(?:known|estimated|believed)|"
    r"there are|let me|in general|generally)"
)
_WRONG = (
    rf"(?:{_NOT_RIGHT}|harmful|dangerous|wrong|unlawful|criminal|prohibited|"
    rf"an? (?:\w+ ){{0,2}}(?:crime|criminal|offen[cs]e|violation|illegal|harmful|unethical)\b|"
    rf"(?:against|in violation of) (?:the law|\w+ principles)|never (?:an? )?(?:{_RIGHT}|the answer|"
    rf"justif)|not (?:justif|the answer|a solution))"
)
REPROACH = re.compile(rf"\b{_WRONG}")
_VERY = (
    r"(?:both |highly |extremely |completely |considered |generally |strictly |in most countries )*"
)
_IS_WRONG = (
    rf"(?:(?:is|are|was|were|can be|would be) {_VERY}{_WRONG}|violates|(?:goes|go) against|"
    r"should (?:not|never) be (?:attempted|done|condoned|encouraged|tolerated))"
)
_PREFACE = (
    r"(?:\bi (?:must|should|want to|would like to|have to|need to|will)(?: \w+){1,3} that|"
    r"\bit is (?:\w+ )?(?:important|crucial|essential|worth|necessary|vital)(?: for \w+)?(?: to)? "
    r"\w+(?: that)?|^please \w+(?: \w+)? that|\bsorry,? but|\bapologi[sz]e,? but)"
)
MORALISES = re.compile(
    _WORD_START
    + rf"^(?:\w+ing|any attempt|any form|the act|discrimination)\b.{{0,120}}?\b{_IS_WRONG}"
    r"(?! (?:on|at|during|after|before|if|when|unless|without)\b)"  # a rule's condition: a fact
    rf"|{_PREFACE} .{{0,160}}?\b{_IS_WRONG}"
    rf"|(?:^|\bthat |\bbut |\bhowever |(?<!^no), )(?:it|this|that) (?:is|would be) "
    rf"{_VERY}{_WRONG} (?:for \w+ )?to "
    r"|\bi (?:\w+ ){0,2}?(?:discourage|(?:advise|urge|caution|warn|recommend) (?:you )?"
    r"(?:strongly )?(?:against|not to))\b"
    r"|^[\w ]{0,40} should (?:not |never |ever )?be (?:denied|discriminat|barred|exclud|prohibit|"
    r"subject|forced|treated|judged)\w*\b.{0,120}\b(?:based on|because of|due to|regardless of|their)\b"
    r"|^.{0,80} (?:was|were|is|are) (?:not|never|in no way) (?:justif\w+|right to)\b)"
)
DISTRESS = re.compile(r"\bsorry (?:to hear |that |if )(?:that )?(?:you|this|things)\b")
SCOLDS = re.compile(
    r"(?:\bi (?:must|should|want to|need to|have to|would like to)|\bsorry,? but|"
    r"\bapologi[sz]e,? but) .{0,40}\b(?:the|your|this) (?:\w+ )?"
    r"(?:phrase|term|word|language|wording|question|request|prompt|query)\b.{0,120}?\b"
    r"(?:problematic|inappropriate|not (?:be )?(?:the )?(?:most )?(?:appropriate|acceptable)|"
    r"negative|harmful|offensive|unethical|illegal|violent|violence|stereotyp\w+)"
)

LIST_ENTRY = re.compile(r"^[ \t]*(?:\d{1,2}[.):]|[-*•+]|step \d)[ \t]*\S", re.I | re.M)
ANNOUNCES = re.compile(
    r"\bhere(?: are|'s| is)\b|\b(?:following|these|several|some|few) (?:\w+ )?(?:steps|ways|tips|"
    r"suggestions|ideas|methods|strategies|examples|options|guidelines|techniques)\b",
    re.I,
)
# Parts of words, as they stand in a text in lower case.
SERVICES = (
    *("hotline", "helpline", "lifeline", "crisis", "emergency services", "counsel", "therap"),
    *("mental health", "professional help", "law enforcement", "local authorities", " 988"),
    *("support group", "samaritans"),
)
