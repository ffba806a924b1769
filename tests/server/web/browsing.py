"""A browser without a window: it keeps cookies, follows forms and reads pages."""

import re
from html import unescape

import httpx2


class Browsing:
    """Pages of one server for one reader."""

    def __init__(self, server, language="en"):
        self.root = server.base_url.removesuffix("/v1")
        self.client = httpx2.Client(base_url=self.root, headers={"accept-language": language})
        self.last = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def get(self, path):
        self.last = self.client.get(path)
        return self.last

    def sign_in(self, key, **more):
        self.last = self.client.post("/sign-in", data={"key": key, **more})
        return self.last

    def post(self, path, token=None, headers=None, **fields):
        """Sends a form with the token of the page that was read last."""
        found = re.search('name="csrf" value="([^"]*)"', self.last.text) if self.last is not None else None
        data = {"csrf": token if token is not None else unescape(found[1]) if found else "", **fields}
        self.last = self.client.post(path, data=data, headers=headers)
        return self.last

    def follow(self):
        """Where the last answer sent us."""
        assert self.last.status_code == 303
        return self.get(self.last.headers["location"])
