"""One module per page: what it shows, read from a book. The same data is the page and its JSON."""
