"""Invoices are hostile XML: bytes in, a bounded tree out, or an `InvoiceError`.

One encoding (UTF-8), no document type, no entity, nothing external, bounded size, depth and count
of elements, all checked while parsing, before a tree exists that could hurt. Names are asked for by
full path and may occur once: a file in which two readers could find two totals is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from tallynet.documents.errors import InvoiceError
from tallynet.documents.values import shown

__all__ = ["Node", "local_name", "parse"]

INVOICE_BYTES_MAX: Final = 2 * 1024 * 1024
"""An invoice of 10,000 lines takes about 1.5 MiB in the most talkative format; what is larger
carries attachments, which belong elsewhere."""

ELEMENTS_MAX: Final = 250_000
"""10,000 lines of 25 elements each; bounds memory to about 100 MiB for the worst 2 MiB file."""

DEPTH_MAX: Final = 32
"""The deepest path read has 6 levels, real files reach about 10; signatures in extensions more."""

TEXT_CHARACTERS_MAX: Final = 1_000
"""A name, number or description; longer ones are attachments in disguise."""

_DECLARATION: Final = re.compile(
    rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"'>]{1,64})["']"""
)
_SPACE: Final = " \t\r\n"


class _BoundedBuilder(TreeBuilder):
    """Builds the tree and stops at the first element too many or too deep."""

    def __init__(self, elements_max: int) -> None:
        super().__init__()
        self._elements_max = elements_max
        self._depth = 0
        self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._count += 1
        if self._depth > DEPTH_MAX:
            raise InvoiceError(
                "INVOICE_TOO_COMPLEX", f"elements are nested deeper than {DEPTH_MAX}"
            )
        if self._count > self._elements_max:
            raise InvoiceError("INVOICE_TOO_COMPLEX", f"more than {self._elements_max} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def local_name(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def _check_encoding(data: bytes) -> None:
    """One encoding only: where two are possible, two readers may read two texts."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvoiceError("INVOICE_ENCODING", f"byte {error.start} is not valid UTF-8") from None
    declared = _DECLARATION.match(data)
    if declared is not None and declared.group(1).lower() not in (b"utf-8", b"us-ascii"):
        name = shown(declared.group(1).decode("utf-8"))
        raise InvoiceError("INVOICE_ENCODING", f"the file declares the encoding {name}")


def parse(
    data: bytes, *, bytes_max: int = INVOICE_BYTES_MAX, elements_max: int = ELEMENTS_MAX
) -> Element:
    """The root element of `data`, which is at most so large.

    Raises:
        InvoiceError: INVOICE_TOO_LARGE, INVOICE_TOO_COMPLEX, INVOICE_ENCODING, INVOICE_NOT_XML,
            INVOICE_ENTITY_FORBIDDEN.
    """
    if len(data) > bytes_max:
        raise InvoiceError(
            "INVOICE_TOO_LARGE", f"the file has {len(data)} bytes, at most {bytes_max}"
        )
    _check_encoding(data)
    parser = DefusedXMLParser(
        target=_BoundedBuilder(elements_max),
        encoding="utf-8",
        forbid_dtd=True,
        forbid_entities=True,
        forbid_external=True,
    )
    try:
        parser.feed(data)
        root = parser.close()
    except DefusedXmlException:
        raise InvoiceError(
            "INVOICE_ENTITY_FORBIDDEN", "the file declares a document type or entities"
        ) from None
    except ParseError as error:
        raise InvoiceError(
            "INVOICE_NOT_XML", f"the file is not well-formed XML ({error})"
        ) from None
    return root


@dataclass(frozen=True, slots=True)
class Node:
    """An element with the way to it.

    `prefixes` maps the prefixes used in the paths below (`cbc`, `ram`) to namespaces, so that a
    path reads like the standard's own text whatever prefixes the file itself uses.
    """

    element: Element
    where: str
    prefixes: Mapping[str, str]

    def _tag(self, name: str) -> str:
        prefix, _, local = name.rpartition(":")
        namespace = self.prefixes[prefix]
        return f"{{{namespace}}}{local}" if namespace else local

    def children(self, name: str) -> list[Node]:
        """All children of that name, in order; `where` counts them when there are several."""
        found = self.element.findall(self._tag(name))
        local = name.rpartition(":")[2]
        many = len(found) > 1
        return [
            Node(child, f"{self.where}/{local}" + (f"[{i}]" if many else ""), self.prefixes)
            for i, child in enumerate(found, 1)
        ]

    def find(self, path: str) -> Node | None:
        """The one element at `path`, or None.

        Raises:
            InvoiceError: INVOICE_ELEMENT_REPEATED when a step of the path is not unique.
        """
        node = self
        for name in path.split("/"):
            found = node.children(name)
            if not found:
                return None
            if len(found) > 1:
                raise InvoiceError(
                    "INVOICE_ELEMENT_REPEATED",
                    f"the element occurs {len(found)} times",
                    node.where_of(name),
                )
            node = found[0]
        return node

    def where_of(self, path: str) -> str:
        """The place of `path` below this node, for messages about what is not there."""
        steps = [name.rpartition(":")[2] for name in path.split("/")]
        return "/".join([self.where, *steps])

    def text(self, path: str) -> str:
        """The text at `path` with white space collapsed; empty when absent or empty.

        Raises:
            InvoiceError: INVOICE_ELEMENT_REPEATED, INVOICE_ELEMENT_MALFORMED, INVOICE_TEXT_TOO_LONG.
        """
        node = self.find(path)
        return "" if node is None else node.own_text()

    def own_text(self) -> str:
        """This element's text with white space collapsed.

        Raises:
            InvoiceError: INVOICE_ELEMENT_MALFORMED, INVOICE_TEXT_TOO_LONG.
        """
        if len(self.element):
            raise InvoiceError(
                "INVOICE_ELEMENT_MALFORMED", "elements stand where text is expected", self.where
            )
        text = " ".join(part for part in re.split(f"[{_SPACE}]+", self.element.text or "") if part)
        if len(text) > TEXT_CHARACTERS_MAX:
            raise InvoiceError(
                "INVOICE_TEXT_TOO_LONG",
                f"the text has {len(text)} characters, at most {TEXT_CHARACTERS_MAX}",
                self.where,
            )
        return text

    def attribute(self, name: str) -> str:
        """The value of an attribute, trimmed; empty when absent.

        Raises:
            InvoiceError: INVOICE_TEXT_TOO_LONG.
        """
        value = self.element.get(name, "").strip(_SPACE)
        if len(value) > TEXT_CHARACTERS_MAX:
            raise InvoiceError(
                "INVOICE_TEXT_TOO_LONG", f"the attribute {name} is too long", self.where
            )
        return value

    def descendants(self, skip: frozenset[str] = frozenset()) -> Iterator[Node]:
        """This node and everything below, except inside elements whose full tag is in `skip`."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending.extend(reversed(node._below(skip)))

    def _below(self, skip: frozenset[str]) -> list[Node]:
        """The children in order, counted like `children` does when a name repeats."""
        wanted = [child for child in self.element if child.tag not in skip]
        totals = Counter(child.tag for child in wanted)
        seen: Counter[str] = Counter()
        found: list[Node] = []
        for child in wanted:
            seen[child.tag] += 1
            place = f"[{seen[child.tag]}]" if totals[child.tag] > 1 else ""
            found.append(Node(child, f"{self.where}/{local_name(child)}{place}", self.prefixes))
        return found
