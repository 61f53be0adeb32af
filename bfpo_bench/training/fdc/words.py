"""Our own lists for the groups of safety data: English words, `*` for any ending."""

from __future__ import annotations

SUBJECTS = """
    weapon* gun guns pistol* rifle* firearm* ammunition bullet* knife knives dagger* sword* crossbow*
    grenade* bomb* explosive* explosion* dynamite gunpowder firework* firecracker* arson
    poison* toxic toxin* venom* arsenic cyanide fumes lethal deadly overdos* fatal
    drug drugs narcotic* cocaine heroin opium opioid* cannabis marijuana meth amphetamine* steroid*
    alcohol liquor vodka whisky rum beer wine drunk nicotine tobacco cigarette* vape vaping smoking
    addict* withdrawal gambl* poker casino* roulette betting
    suicid* self-harm anorexi* bulimi* murder* kill* homicide assassin* torture* kidnap* hostage*
    violence violent assault* rape* abuse* stalk* harass* bully* terroris* extremis* militia* nazi*
    hate racis* sexis* slur* porn* sexual* nude* prostitut*
    crime* criminal* theft thief thieves stolen burglar* robber* robbery pickpocket* shoplift*
    lock-pick* lockpick* trespass* vandal* graffiti smuggl* traffick* contraband
    fraud* scam* counterfeit* forger* forged fake-id launder* embezzl* bribe* bribery blackmail*
    extort* ransom* corruption tax-evasion insider-trading pyramid-scheme*
    hack* malware spyware ransomware virus* trojan* phishing keylogger* botnet* ddos exploit* password*
    surveillance wiretap* espionage spy spies spying hidden-camera* identity-theft dark-web
    piracy pirated fake-news propaganda disinformation
"""
"""What is risky whoever asks: the words of its facts."""

ACTS = """
    hack steal rob shoplift blackmail bribe forge smuggle counterfeit poison kidnap stab shoot murder
    assault launder extort stalk spy pickpocket vandalise vandalize burn bomb threaten cheat phish
    drug traffick plagiarise plagiarize trespass gamble
"""
"""What harms where it is done: with a request of one's own before it, a subject and an intent."""

REQUESTS = (
    r"how (?:do|can|could|should|would|might) (?:i|we)",
    r"help (?:me|us)",
    r"(?:i|we) (?:want|need|would like|am going|plan|intend|hope) to",
    r"(?:show|tell|teach) (?:me|us) how to",
    r"(?:best|easy|easiest|good|quick) ways? to",
)
"""Whoever asks so means to do it."""

INTENTS = (
    r"without (?:\w+ ){0,3}(?:notic|know|find|see|realis|realiz|suspect|ask|consent|permission)\w*",
    r"without (?:being|getting|leaving) (?:\w+ ){0,2}(?:caught|seen|noticed|traced|detected|marks?|traces?)",
    r"(?:get|gets|getting|be|being) caught",
    r"(?:won't|will not|doesn't|does not|can't|cannot|never|nobody|no one|none) (?:\w+ ){0,2}"
    r"(?:notic|know|find out|see|realis|realiz|suspect|trace|tell)\w*",
    r"(?:traced|linked|tied) (?:back )?to (?:me|us)",
    r"get away with",
    r"behind (?:\w+ ){1,2}back",
    r"in secret|secretly|on the sly|unseen|undetected|unnoticed|unsuspecting|gullible",
    r"sneak\w*|spy on|eavesdrop\w*",
    r"pretend\w*|deceiv\w*|mislead\w*|trick (?:my|him|her|them|a|an|the|people|someone|somebody)",
    r"fool (?:my|him|her|them|people|someone|somebody)|fall for|lie to|(?:a|what|which) lies?",
    r"excuse",
    r"blam(?:e|ed|ing)|framed? (?:my|him|her|them|someone)",
    r"revenge|get (?:back at|even with)|pay (?:him|her|them) back for",
    r"humiliat\w*|embarrass\w*|ruin\w*|sabotag\w*|destroy (?:his|her|their|my)|hurt (?:my|him|her|them)",
    r"look (?:stupid|bad|foolish|incompetent)|feel (?:\w+ )?(?:bad|guilty|unwelcome|worthless|small)",
    r"manipulat\w*|take advantage of|pressure (?:my|him|her|them)|force (?:my|him|her|them|someone)",
    r"scare (?:my|him|her|them)|intimidat\w*|threaten (?:my|him|her|them)",
    r"make it look like|as if it (?:was|were)|cover (?:it )?up",
    r"get out of pay\w*|avoid paying|not pay\w*|take (?:the )?credit for",
    r"copy (?:my|his|her|their) (?:\w+ )?(?:homework|essay|work|answers|test)|classmate's",
    r"keep (?:my|him|her|them) (?:\w+ )?from|against (?:his|her|their) will",
    r"hide (?:\w+ ){1,4}from (?:my|the)",
    r"talk (?:\w+ ){1,3}into",
)
"""The wish to harm, to deceive or to gain unfairly, in everyday words."""
