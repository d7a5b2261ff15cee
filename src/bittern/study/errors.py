"""What can go wrong in a study, apart from arguments that are wrong at once (ValueError)."""


class StudyError(ValueError):
    """Study data cannot be read or written as asked; the message names the file, the rule and the way out."""
