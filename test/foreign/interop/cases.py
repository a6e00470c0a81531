"""gRPC's interop cases that need no Google account, and the clients that implement them."""

#: All clients, by their names in docs/interop.md.
CLIENTS = ("go", "java", "okhttp", "cpp", "python", "ruby")

EVERYBODY = set(CLIENTS)
JAVA = {"java", "okhttp"}

#: The clients that implement each case; for the others, the matrix shows `-`.
CASES = {
    "empty_unary": EVERYBODY,
    "cacheable_unary": JAVA,
    "large_unary": EVERYBODY,
    "very_large_request": JAVA,
    "client_compressed_unary": JAVA | {"cpp", "ruby"},
    "client_compressed_unary_noprobe": JAVA,
    "server_compressed_unary": JAVA | {"cpp"},
    "client_streaming": EVERYBODY,
    "client_compressed_streaming": JAVA | {"cpp", "ruby"},
    "client_compressed_streaming_noprobe": JAVA,
    "server_streaming": EVERYBODY,
    "server_compressed_streaming": JAVA | {"cpp"},
    "slow_consumer": {"cpp"},
    "half_duplex": {"cpp"},
    "ping_pong": EVERYBODY,
    "empty_stream": EVERYBODY,
    "custom_metadata": EVERYBODY,
    "status_code_and_message": EVERYBODY,
    "special_status_message": EVERYBODY - {"ruby"},
    "unimplemented_method": EVERYBODY,
    "unimplemented_service": EVERYBODY,
    "cancel_after_begin": EVERYBODY,
    "cancel_after_first_response": EVERYBODY,
    "timeout_on_sleeping_server": EVERYBODY,
    "pick_first_unary": JAVA | {"go", "cpp"},
    "orca_per_rpc": JAVA | {"go"},
    "orca_oob": JAVA | {"go"},
    "rpc_soak": JAVA | {"go", "cpp"},
    "channel_soak": JAVA | {"go", "cpp"},
    "long_lived_channel": {"cpp"},
}

#: Long cases that use little processor time. They start first, all at once.
SLEEPERS = ("slow_consumer", "long_lived_channel", "orca_oob")

#: All pairs of a client and a case that it implements.
PAIRS = [(client, case) for case, knowing in CASES.items() for client in CLIENTS if client in knowing]
