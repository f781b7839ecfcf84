"""A nested config as a flat dict of dotted path to value, and back."""


def flatten(config):
    """Dict of dotted path to value, of a nested dict or a ConfigDict.

    Args:
        config: the dict, whose sections are dicts.

    Returns:
        The flat dict, in the config's order.
    """
    sections = config.to_dict() if hasattr(config, "to_dict") else config
    flat = {}
    for name, value in sections.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": v for key, v in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def nested(flat):
    """The nested dict of a flat one, as in config.json; undoes `flatten`."""
    found = {}
    for path, value in flat.items():
        *sections, name = path.split(".")
        section = found
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = value
    return found
