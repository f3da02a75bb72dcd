"""All that exists only to learn or to score; nothing at run time imports it."""
