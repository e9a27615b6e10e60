"""Sources to documents, documents to chunks.

Reads PDF, EPUB, HTML, Markdown, plain text and a few more into clean text with pages and headings, and
cuts that text into chunks of at most so many tokens, each of which knows its place. Independent of
tensors, the terminal, and where memories are stored; a tokenizer is anything with `encode`.
"""

from mplus_cli.documents.chunks import Chunk, Tokenizer, count_tokens, encode_text, split_chunks
from mplus_cli.documents.model import Document, DocumentError, Heading, Page, PageRange, Source
from mplus_cli.documents.reading import file_digest, read_document
from mplus_cli.documents.sources import find_sources

__all__ = [
    "Chunk",
    "Document",
    "DocumentError",
    "Heading",
    "Page",
    "PageRange",
    "Source",
    "Tokenizer",
    "count_tokens",
    "encode_text",
    "file_digest",
    "find_sources",
    "read_document",
    "split_chunks",
]
