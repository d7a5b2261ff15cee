"""How public repositories write binary networks: their idioms, in new words, one file a family.

Each file has rows (`Idiom`): the repository, what is particular about its code, and a small network written that way.
"""
