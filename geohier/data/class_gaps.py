"""Classes that a split lacks: what only val holds can never be found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGap:
    """A class without labels where there should be some.

    Args:
        text: a line for people.
        only_in_val: whether val judges by a class that train cannot teach.
    """

    text: str
    only_in_val: bool = False


def class_gaps(train: Mapping[str, int], val: Mapping[str, int]) -> Iterator[ClassGap]:
    """Yield what train and val lack, from the labelled pixels of each class in each of them.

    Example:
        >>> [gap.text for gap in class_gaps({"a": 3, "b": 4}, {"a": 5, "b": 0})]
        ['class b is in train but not in val: it will have no score']
    """
    judged = any(val.values())
    for name, learnt in train.items():
        if val[name] and not learnt:
            yield ClassGap(
                text=f"class {name} has {val[name]} px in val and none in train: it can never be "
                "found; move a scene that holds it to train (geohier data split), or drop the "
                "class",
                only_in_val=True,
            )
        elif judged and not val[name] and learnt:
            yield ClassGap(text=f"class {name} is in train but not in val: it will have no score")
        elif not learnt:
            yield ClassGap(text=f"class {name} has no labelled pixel: it can never be found")
