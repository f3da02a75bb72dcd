"""Lists that check what is put into them."""

from abc import abstractmethod
from collections.abc import Iterable, MutableSequence
from typing import Any, Self, overload


class CheckedList(MutableSequence[Any]):
    """A list whose items are checked as they enter, and that counts its edits.

    It has what `pedalboard.Pedalboard` has (index, `append`, `insert`, `remove`, `del`, `len`, `in`)
    and what it lacks: slices, `+`, `extend`, `pop`.
    """

    title = "items"
    """What error messages call the list."""

    edits = 0
    """How often the list was edited."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        if isinstance(items, str | bytes) or not isinstance(items, Iterable):
            raise TypeError(f"{self.title} must be a list, got {items!r}; put it in brackets")
        self._items = [self.checked(item) for item in items]

    @abstractmethod
    def checked(self, item: Any) -> Any:
        """The item, or a `TypeError` that says what may enter."""

    def like(self, items: Iterable[Any]) -> Self:
        """A new list of this kind."""
        return type(self)(items)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.like(self._items[index]) if isinstance(index, slice) else self._items[index]

    def __setitem__(self, index: Any, item: Any) -> None:
        self._items[index] = (
            [self.checked(each) for each in item] if isinstance(index, slice) else self.checked(item)
        )
        self.edits += 1

    def __delitem__(self, index: int | slice) -> None:
        del self._items[index]
        self.edits += 1

    def __len__(self) -> int:
        return len(self._items)

    def insert(self, index: int, value: Any) -> None:
        """Put an item before `index`."""
        self._items.insert(index, self.checked(value))
        self.edits += 1

    def __add__(self, other: object) -> Self:
        if not isinstance(other, Iterable):
            return NotImplemented
        return self.like([*self._items, *other])

    def __radd__(self, other: object) -> Self:
        if not isinstance(other, Iterable):
            return NotImplemented
        return self.like([*other, *self._items])
