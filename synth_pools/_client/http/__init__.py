"""Requests and responses: no waiting, the same for both variants.

The HTTP library is imported here, for all of the client.
"""

from httpx import URL as URL
from httpx import AsyncBaseTransport as AsyncBaseTransport
from httpx import AsyncByteStream as AsyncByteStream
from httpx import AsyncClient as AsyncClient
from httpx import Auth as Auth
from httpx import BaseTransport as BaseTransport
from httpx import ByteStream as ByteStream
from httpx import Client as Client
from httpx import ConnectError as ConnectError
from httpx import ConnectTimeout as ConnectTimeout
from httpx import Headers as Headers
from httpx import InvalidURL as InvalidURL
from httpx import Limits as Limits
from httpx import PoolTimeout as PoolTimeout
from httpx import Proxy as Proxy
from httpx import ProxyError as ProxyError
from httpx import QueryParams as QueryParams
from httpx import ReadError as ReadError
from httpx import ReadTimeout as ReadTimeout
from httpx import RemoteProtocolError as RemoteProtocolError
from httpx import Request as Request
from httpx import RequestError as RequestError
from httpx import Response as Response
from httpx import SyncByteStream as SyncByteStream
from httpx import Timeout as Timeout
from httpx import TimeoutException as TimeoutException
from httpx import TransportError as TransportError
from httpx import UnsupportedProtocol as UnsupportedProtocol
from httpx import WriteTimeout as WriteTimeout
from httpx import create_ssl_context as create_ssl_context
