"""What can go wrong in a study, apart from wrong arguments (ValueError)."""


class StudyError(ValueError):
    """Study data cannot be read or written as asked. The message names the file, the rule and the way out."""
