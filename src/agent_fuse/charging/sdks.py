"""What errors of model SDKs and frameworks say about their request."""

from agent_fuse.charging.rows import ErrorClasses, Says, row

SDKS: tuple[ErrorClasses, ...] = (
    row(
        Says.NOTHING, "openai, anthropic, cohere, groq, litellm", "answered with an error status",
        "AuthenticationError BadRequestError ConflictError InternalServerError NotFoundError OAuthError "
        "OverloadedError PermissionDeniedError RateLimitError RequestTooLargeError ServiceUnavailableError "
        "UnprocessableEntityError "
        "DeadlineExceededError PaymentRequiredError RequestTimeoutError ContentTooLargeError GatewayTimeoutError "
        "HTTPNotImplementedError PreconditionFailedError ClientClosedRequestError RequestHeaderFieldsTooLargeError",
    ),
    row(
        Says.NOTHING, "anthropic", "answered with an error status, told apart by its code",
        "CMEKKeyDisabledError RampLimitExceededError CMEKKeyUnreachableError OrganizationOnHoldError "
        "CMEKKeyNetworkBlockedError CMEKContextUnavailableError ClaudeCodeVersionTooOldError "
        "SandboxEgressRestrictedError ContractSpendLimitReachedError EnforcedSpendLimitReachedError "
        "ParentOrganizationRequiredError RequestBodyEncodingInvalidError OrganizationTypeNotSupportedError "
        "WorkspaceHumanReviewDisabledError ClaudeCodeKeyCreatorNotMemberError RequestBodyEncodingUnsupportedError "
        "RequestBodyTooLargeAfterDecodingError LinkedOrganizationSpendLimitReachedError "
        "LinkedOrganizationBillingUnavailableError",
    ),
    row(
        Says.NOTHING, "anthropic", "the word for an error status in the body of its answer (`error.type`)",
        "invalid_request_error authentication_error billing_error permission_error not_found_error "
        "request_too_large rate_limit_error",
    ),
    row(
        Says.STATUS, "anthropic", "those words come in the middle of a stream too",
        "api_error overloaded_error timeout_error", otherwise=Says.MAYBE,
    ),
    row(
        Says.STATUS, "openai, anthropic", "a status without a class of its own, or an error in the middle of a stream",
        "APIStatusError APIError ApiError", otherwise=Says.MAYBE,
    ),
    row(
        # Raised for whatever keeps a client from an answer; in practice a provider that cannot be reached. Where the
        # connection broke later, the error that it is raised from says so, and so does a span's stack trace.
        Says.CAUSE, "openai, anthropic, litellm", "the transport's error is its cause; bare, nobody was reached",
        "APIConnectionError OpenAIConnectionError AnthropicConnectionError", otherwise=Says.NOTHING,
    ),
    row(
        Says.CAUSE, "openai, anthropic", "connecting or reading took too long: its cause tells which",
        "APITimeoutError OpenAITimeoutError AnthropicTimeoutError", otherwise=Says.MAYBE,
    ),
    row(
        Says.MAYBE, "openai, anthropic, litellm", "an answer came, and the client cannot read it",
        "APIResponseValidationError",
    ),
    row(
        Says.MAYBE, "openai", "an answer came, and is not what was asked for",
        "LengthFinishReasonError ContentFilterFinishReasonError",
    ),
    row(
        Says.NOTHING, "openai, anthropic", "no credentials, so no request",
        "CredentialsError IdentityTokenFileError WorkloadIdentityError SubjectTokenProviderError "
        "_AmbiguousModuleClientUsageError",
    ),
    row(
        Says.UNSAID, "openai, anthropic", "a base class, or nothing to do with a request",
        "OpenAIError AnthropicError RetryableError InvalidWebhookSignatureError APIWebhookValidationError",
    ),
    row(
        Says.MAYBE, "openai", "a session that was open broke off",
        "WebSocketConnectionClosedError WebSocketQueueFullError",
    ),
    row(
        Says.NOTHING, "cohere", "answered with an error status",
        "ForbiddenError InvalidTokenError TooManyRequestsError UnauthorizedError",
    ),
    row(
        Says.STATUS, "cohere, mistralai", "an answer that the client cannot read: its status tells whether it was one",
        "ParsingError ResponseValidationError MistralError SDKError HTTPValidationError ObservabilityError",
        otherwise=Says.MAYBE,
    ),
    row(Says.STATUS, "cohere", "501; Python has a class of this name", "NotImplementedError"),
    row(Says.MAYBE, "mistralai", "no answer came", "NoResponseError"),
    row(
        Says.STATUS, "google-genai, google-api-core, botocore, aiohttp", "an error status, or a base class",
        "ClientError ServerError GoogleAPIError GoogleAPICallError", otherwise=Says.MAYBE,
    ),
    row(Says.NOTHING, "google-adk", "429, as google-genai said it", "_ResourceExhaustedError"),
    row(
        Says.UNSAID, "google-genai", "the host's own function, or what the answer asked of it",
        "UnknownFunctionCallArgumentError UnsupportedFunctionError FunctionInvocationError",
    ),
    row(
        Says.MAYBE, "google-genai", "an answer came and could not be read",
        "UnknownApiResponseError ContinuationInterruptedError",
    ),
    row(
        Says.NOTHING, "google-api-core", "answered with an error status",
        "BadRequest InvalidArgument FailedPrecondition OutOfRange Unauthorized Unauthenticated Forbidden "
        "PermissionDenied NotFound MethodNotAllowed Conflict AlreadyExists Aborted LengthRequired PreconditionFailed "
        "RequestRangeNotSatisfiable TooManyRequests ResourceExhausted Unknown MethodNotImplemented BadGateway "
        "ServiceUnavailable GatewayTimeout Redirection MovedPermanently NotModified TemporaryRedirect ResumeIncomplete",
    ),
    row(
        Says.NOTHING, "google-api-core", "the request is none",
        "DuplicateCredentialArgs AsyncRestUnsupportedParameterError",
    ),
    row(
        Says.MAYBE, "google-api-core", "gRPC says it of a call that was under way",
        "DeadlineExceeded Cancelled DataLoss ResumableTransferError TransferStalledError UploadCancelledError "
        "MissingStatusHeaderError",
    ),
    row(
        Says.STATUS, "grpc", "its status code is in its words",
        "RpcError AioRpcError _InactiveRpcError _MultiThreadedRendezvous", otherwise=Says.MAYBE,
    ),
    row(
        Says.UNSAID, "grpc", "whoever waited stopped waiting",
        "FutureTimeoutError FutureCancelledError AbortError BaseError InternalError UsageError",
    ),
    row(
        Says.NOTHING, "langchain", "answered with an error status",
        "OpenAIContextOverflowError OpenAIAuthenticationError OpenAIPermissionDeniedError OpenAIInvalidRequestError "
        "OpenAIModelNotFoundError OpenAIRateLimitError AnthropicContextOverflowError AnthropicAuthenticationError "
        "AnthropicPermissionDeniedError AnthropicInvalidRequestError AnthropicModelNotFoundError "
        "AnthropicRateLimitError ModelPermissionDeniedError ModelInvalidRequestError ContextOverflowError",
    ),
    row(
        Says.STATUS, "langchain", "an error status, or an error in the middle of a stream",
        "OpenAIAPIError OpenAIAPIContextOverflowError AnthropicAPIError AnthropicOverloadedError ModelError",
        otherwise=Says.MAYBE,
    ),
    row(
        Says.MAYBE, "langchain", "an answer came, and is not what was asked for",
        "OpenAIRefusalError ModelRefusalError OutputParserException",
    ),
    row(Says.UNSAID, "langchain", "its own code", "LangChainException TracerException"),
    row(
        Says.NOTHING, "pydantic-ai, langchain", "answered with an error status",
        "ModelRateLimitError ModelQuotaExceededError ModelRequestRejectedError ModelContextWindowExceededError "
        "ModelAuthenticationError ModelNotFoundError",
    ),
    row(
        Says.STATUS, "pydantic-ai, langchain", "an error status, or the transport's error is its cause",
        "ModelHTTPError _CategorizedHTTPError ModelAPIError ModelServerError ModelUnavailableError "
        "ModelOverloadedError ModelConnectionError ModelTimeoutError ModelRequestTimeout",
        otherwise=Says.MAYBE,
    ),
    row(
        Says.MAYBE, "pydantic-ai", "an answer came, and is not what was asked for",
        "UnexpectedModelBehavior ContentFilterError OutputTokenLimitExceeded IncompleteToolCall "
        "SuspendedResponseExpired",
    ),
    row(
        Says.NOTHING, "pydantic-ai", "refused by the framework itself, before the request",
        "ConcurrencyLimitExceeded UserError UndrainedPendingMessagesError SkipModelRequest",
    ),
    row(
        Says.UNSAID, "pydantic-ai", "the run, or a tool in it",
        "ModelRetry ToolFailed CallDeferred ApprovalRequired RetryModelRequest SkipToolValidation SkipToolExecution "
        "AgentRunError RunCancelled RunTimedOut UsageLimitExceeded FallbackExceptionGroup ToolRetryError "
        "ToolFailedError",
    ),
)  # fmt: skip
