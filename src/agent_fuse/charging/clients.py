"""What errors of Python and of HTTP clients say about their request."""

from agent_fuse.charging.rows import ErrorClasses, Says, row

PYTHON: tuple[ErrorClasses, ...] = (
    row(
        Says.NOTHING, "agent_fuse", "a trip: refused before it left",
        "SentinelBudgetExceeded SentinelLoopError SentinelSystemError",
    ),
    row(
        Says.NOTHING, "python", "no connection was made",
        "ConnectionRefusedError gaierror herror SSLCertVerificationError SSLCertificateError NotConnected "
        "CannotSendRequest CannotSendHeader",
    ),
    row(
        Says.MAYBE, "python", "the connection broke while it was in use",
        "ConnectionResetError ConnectionAbortedError BrokenPipeError RemoteDisconnected BadStatusLine IncompleteRead "
        "LineTooLong SSLEOFError SSLZeroReturnError SSLSyscallError IncompleteReadError LimitOverrunError",
    ),
    row(
        Says.CAUSE, "python, requests, urllib3, botocore", "connecting, sending and reading all raise it",
        "ConnectionError SSLError URLError", otherwise=Says.MAYBE,
    ),
    row(Says.CAUSE, "python", "files raise it as well", "OSError"),
    row(
        Says.UNSAID, "python", "whoever waited stopped waiting, whatever the request was at",
        "CancelledError GeneratorExit KeyboardInterrupt SystemExit TimeoutError BrokenBarrierError",
    ),
    row(
        Says.UNSAID, "python", "a bug, before the request or after the answer",
        "ArithmeticError AssertionError AttributeError IndexError KeyError LookupError NameError RecursionError "
        "TypeError UnboundLocalError ZeroDivisionError JSONDecodeError UnicodeDecodeError",
    ),
    row(
        Says.UNSAID, "pydantic", "the host's own arguments, or the answer, did not fit a model",
        "ValidationError SchemaError PydanticUserError PydanticSerializationError",
    ),
)  # fmt: skip

HTTP: tuple[ErrorClasses, ...] = (
    row(
        Says.NOTHING, "httpx, httpcore, httpx2, httpcore2", "no connection was made, or none was free",
        "ConnectError ConnectTimeout PoolTimeout ProxyError ConnectionNotAvailable",
    ),
    row(Says.NOTHING, "httpx, httpx2, requests, aiohttp", "the address is none", "UnsupportedProtocol InvalidURL"),
    row(
        Says.CAUSE, "httpx, httpcore, h11", "h11 refuses to write it whole; with HTTP/2 its cause is an error of h2",
        "LocalProtocolError", otherwise=Says.NOTHING,
    ),
    row(
        Says.NOTHING, "httpx, httpx2, requests, aiohttp", "answered with a redirect, over and over",
        "TooManyRedirects",
    ),
    row(
        Says.MAYBE, "httpx, httpcore, httpx2, httpcore2", "the whole request may have left: the answer did not come",
        "ReadTimeout ReadError RemoteProtocolError CloseError",
    ),
    row(
        Says.MAYBE, "httpx, httpcore, httpx2, httpcore2", "its last part may have left",
        "WriteError WriteTimeout",
    ),
    row(
        Says.MAYBE, "httpx, httpx2", "an answer came and could not be read",
        "DecodingError ResponseNotRead StreamClosed StreamConsumed StreamError SSEError CookieConflict",
    ),
    row(
        Says.CAUSE, "httpx, httpcore, httpx2, httpcore2, h11", "a base class: connecting and reading share it",
        "NetworkError TransportError RequestError TimeoutException ProtocolError", otherwise=Says.MAYBE,
    ),
    row(Says.STATUS, "httpx, requests, urllib3", "an error status, or a base class", "HTTPStatusError HTTPError"),
    row(Says.UNSAID, "httpx, httpx2", "the host asked for a body that it had not read", "RequestNotRead"),
    row(
        Says.NOTHING, "urllib3", "no connection was made, or none was free, or the address is none",
        "NewConnectionError NameResolutionError ConnectTimeoutError EmptyPoolError FullPoolError ClosedPoolError "
        "HostChangedError LocationValueError LocationParseError URLSchemeUnknown ProxySchemeUnknown "
        "ProxySchemeUnsupported TimeoutStateError",
    ),
    row(Says.NOTHING, "urllib3", "every attempt was answered with an error status", "ResponseError"),
    row(
        Says.MAYBE, "urllib3", "an answer was awaited, or could not be read",
        "ReadTimeoutError DecodeError InvalidChunkLength ResponseNotChunked BodyNotHttplibCompatible "
        "HeaderParsingError",
    ),
    row(
        Says.CAUSE, "urllib3", "what went wrong is its reason", "MaxRetryError PoolError RetryError",
        otherwise=Says.MAYBE,
    ),
    row(Says.UNSAID, "urllib3, requests", "an earlier attempt left", "UnrewindableBodyError"),
    row(
        Says.NOTHING, "requests", "the request is none",
        "URLRequired MissingSchema InvalidSchema InvalidProxyURL InvalidJSONError",
    ),
    row(
        Says.MAYBE, "requests", "an answer came and could not be read",
        "ChunkedEncodingError ContentDecodingError StreamConsumedError",
    ),
    row(Says.MAYBE, "requests, litellm", "no answer in time; connecting in time has another class", "Timeout"),
    row(Says.CAUSE, "requests", "a base class", "RequestException", otherwise=Says.MAYBE),
    row(Says.UNSAID, "requests, urllib3", "a header of the request, or of the answer", "InvalidHeader"),
    row(
        Says.NOTHING, "aiohttp", "no connection was made, or the address is none",
        "ClientConnectorError ClientConnectorDNSError ClientConnectorCertificateError ClientConnectorSSLError "
        "ClientSSLError ClientProxyConnectionError ClientHttpProxyError UnixClientConnectorError "
        "ServerFingerprintMismatch ConnectionTimeoutError InvalidUrlClientError NonHttpUrlClientError InvalidURLError",
    ),
    row(
        Says.NOTHING, "aiohttp", "answered with a redirect",
        "RedirectClientError InvalidUrlRedirectClientError NonHttpUrlRedirectClientError",
    ),
    row(Says.NOTHING, "aiohttp", "the body was never sent whole", "UploadAbortedError"),
    row(
        Says.MAYBE, "aiohttp", "the answer did not come, or could not be read",
        "ServerDisconnectedError ServerTimeoutError SocketTimeoutError ServerConnectionError ClientPayloadError "
        "ClientConnectionResetError ClientOSError EofStream WebSocketError HttpProcessingError BadHttpMessage "
        "HttpBadRequest PayloadEncodingError ContentEncodingError TransferEncodingError ContentLengthError "
        "DecompressSizeError BadHttpMethod",
    ),
    row(
        Says.STATUS, "aiohttp", "an error status; its answers that are not JSON carry a status too",
        "ClientResponseError ContentTypeError WSServerHandshakeError", otherwise=Says.MAYBE,
    ),
    row(Says.CAUSE, "aiohttp", "a base class", "ClientConnectionError", otherwise=Says.MAYBE),
    row(Says.UNSAID, "aiohttp", "the host read a message of another kind", "WSMessageTypeError"),
    row(
        Says.MAYBE, "h2", "the conversation broke while it was in use",
        "H2Error FrameTooLargeError FrameDataMissingError FlowControlError StreamIDTooLowError NoSuchStreamError "
        "StreamClosedError InvalidSettingsValueError InvalidBodyLengthError UnsupportedFrameError RFC1122Error "
        "DenialOfServiceError",
    ),
    row(Says.NOTHING, "h2", "no stream could be opened", "TooManyStreamsError NoAvailableStreamIDError"),
    row(Says.NOTHING, "anyio", "no connection was made", "ConnectionFailed"),
    row(
        Says.MAYBE, "anyio", "the connection broke while it was in use",
        "BrokenResourceError ClosedResourceError EndOfStream",
    ),
)  # fmt: skip
