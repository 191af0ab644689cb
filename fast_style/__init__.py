"""Fast neural style transfer you train yourself."""


class FastStyleError(Exception):
    """An error the user can mend: the message is one line that names the file or the key, and says what to do."""
