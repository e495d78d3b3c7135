"""Requests and responses: no waiting, the same for both variants.

All modules of the client import the HTTP library from here.
"""

from httpx import URL as URL
from httpx import AsyncClient as AsyncClient
from httpx import Client as Client
from httpx import InvalidURL as InvalidURL
from httpx import Limits as Limits
from httpx import Proxy as Proxy
from httpx import Request as Request
from httpx import Response as Response
from httpx import create_ssl_context as create_ssl_context
