"""What errors of botocore (Amazon Bedrock) say about their request."""

from agent_fuse.charging.rows import ErrorClasses, Says, row

AWS: tuple[ErrorClasses, ...] = (
    row(
        Says.NOTHING, "botocore", "no connection was made",
        "EndpointConnectionError ProxyConnectionError InvalidProxiesConfigError",
    ),
    row(
        Says.MAYBE, "botocore", "the answer did not come, or could not be read",
        "ConnectionClosedError ResponseStreamingError ChecksumError FlexibleChecksumError ResponseParserError "
        "ParserError NoInitialResponseError DuplicateHeader InvalidHeadersLength InvalidPayloadLength ChecksumMismatch",
    ),
    row(
        Says.MAYBE, "botocore", "an error in the middle of a stream: the status on it, 400, is made up",
        "EventStreamError",
    ),
    row(Says.CAUSE, "botocore", "what went wrong is in its fields", "HTTPClientError", otherwise=Says.MAYBE),
    row(
        Says.UNSAID, "botocore", "a base class, or requests before it",
        "BotoCoreError WaiterError PaginationError UnseekableStreamError",
    ),
    row(Says.NOTHING, "botocore", "its own limiter let no request go", "CapacityNotAvailableError"),
    row(
        Says.NOTHING, "botocore", "no credentials, so no request",
        "NoCredentialsError NoAuthTokenError TokenRetrievalError UnknownTokenProviderError PartialCredentialsError "
        "CredentialRetrievalError UnknownCredentialError MetadataRetrievalError InvalidIMDSEndpointError "
        "InvalidIMDSEndpointModeError RefreshWithMFAUnsupportedError SSOError SSOTokenLoadError "
        "UnauthorizedSSOTokenError LoginError LoginRefreshRequired LoginInsufficientPermissions LoginTokenLoadError "
        "LoginAuthorizationCodeError",
    ),
    row(
        Says.NOTHING, "botocore", "the configuration or the arguments allow no request",
        "DataNotFoundError UnknownServiceError UnknownRegionError ApiVersionNotFoundError UnknownSignatureVersionError "
        "ServiceNotInRegionError BaseEndpointResolverError NoRegionError EndpointVariantError UnknownEndpointError "
        "UnknownFIPSEndpointError ProfileNotFound ConfigParseError ConfigNotFound MissingParametersError "
        "ParamValidationError UnknownKeyError RangeError UnknownParameterError InvalidRegionError "
        "AliasConflictParameterError UnknownServiceStyle OperationNotPageableError InvalidExpressionError "
        "WaiterConfigError UnknownClientMethodError UnsupportedSignatureVersionError InvalidDNSNameError "
        "InvalidS3AddressingStyleError UnsupportedS3ArnError UnsupportedS3ControlArnError InvalidHostLabelError "
        "UnsupportedOutpostResourceError UnsupportedS3ConfigurationError UnsupportedS3AccesspointConfigurationError "
        "InvalidEndpointDiscoveryConfigurationError UnsupportedS3ControlConfigurationError "
        "InvalidRetryConfigurationError InvalidMaxRetryAttemptsError InvalidRetryModeError "
        "InvalidS3UsEast1RegionalEndpointConfigError InvalidSTSRegionalEndpointsConfigError StubResponseError "
        "StubAssertionError UnStubbedResponseError InvalidConfigError InfiniteLoopConfigError MD5UnavailableError "
        "MissingDependencyException UndefinedModelAttributeError MissingServiceIdError InvalidDefaultsMode "
        "AwsChunkedWrapperError InvalidEndpointConfigurationError EndpointProviderError EndpointResolutionError "
        "UnknownEndpointResolutionBuiltInName InvalidChecksumConfigError UnsupportedServiceProtocolsError",
    ),
)  # fmt: skip
