"""Engines of the sync client: the standard library's http.client, or httpx."""
