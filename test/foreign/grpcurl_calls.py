"""One call of each method: the requests, and the replies as grpcurl prints them."""

from socket import gethostname
from unittest.mock import ANY

from services import SERVICES

DOWNLOAD = {"responseParameters": [{"size": 3}, {"size": 6}]}
BELLO = {"greeting": "Bello", "name": "Keys"}
WELL = {"status": "SERVING"}
ASKED = {"host": "here", "allExtensionNumbersOfType": "greet.HelloRequest"}
ANSWERED = {
    "validHost": "here",
    "originalRequest": ASKED,
    "allExtensionNumbersResponse": {"baseTypeName": "greet.HelloRequest"},
}

#: Methods whose calls end only by grpcurl's deadline.
ENDLESS = ("grpc.health.v1.Health/Watch", "xds.service.orca.v3.OpenRcaService/StreamCoreMetrics")
#: Declared in a proto, but not served.
UNIMPLEMENTED = (
    "grpc.testing.TestService/UnimplementedCall",
    "grpc.testing.XdsUpdateHealthService/SendHookRequest",
)


def message(*texts):
    return [{"message": text} for text in texts]


def payload(size):
    """Returns `size` zero bytes in base64."""
    return {"payload": {"body": "AAAA" * (size // 3)}}


def echo(text):
    return [{"message": text, "request": [BELLO, BELLO]}]


CALLS = {
    "Hello/Hello": (
        [{"value": "World"}],
        [{"value": "Hello World"}],
    ),
    "SampleService/Call": (
        [{"message": "test message"}],
        [{"reply": "reply for test message"}],
    ),
    "greet.Greeter/ChattyClientSayHello": (
        [BELLO, BELLO],
        echo("You have sent 2 messages! Please expect a delayed response..."),
    ),
    "greet.Greeter/ChattyClientSaysHello": (
        [BELLO, BELLO],
        echo("You have sent 2 messages. Please expect a delayed response."),
    ),
    "greet.Greeter/InteractingHello": (
        [BELLO, BELLO],
        message("Bello Keys", "Bello Keys"),
    ),
    "greet.Greeter/InteractiveSayHello": (
        [BELLO, BELLO],
        message("Bello Keys!", "Bello Keys!"),
    ),
    "greet.Greeter/ParrotSayHello": (
        [BELLO],
        message("Bello Keys 1!", "Bello Keys 2!", "Bello Keys 3!"),
    ),
    "greet.Greeter/ParrotSaysHello": (
        [BELLO],
        message("Bello Keys 1", "Bello Keys 2", "Bello Keys 3"),
    ),
    "greet.Greeter/SayHello": (
        [BELLO],
        message("Bello Keys!"),
    ),
    "grpc.health.v1.Health/Check": (
        [{"service": "liveness"}],
        [WELL],
    ),
    "grpc.health.v1.Health/List": (
        [{}],
        [{"statuses": dict.fromkeys(("", "liveness", "readiness", *SERVICES), WELL)}],
    ),
    "grpc.health.v1.Health/Watch": (
        [{}],
        [WELL],
    ),
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": (
        [ASKED],
        [ANSWERED],
    ),
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": (
        [ASKED],
        [ANSWERED],
    ),
    "grpc.testing.TestService/CacheableUnaryCall": (
        [{}],
        [{"payload": {"body": ANY}}],
    ),
    "grpc.testing.TestService/EmptyCall": (
        [{}],
        [{}],
    ),
    "grpc.testing.TestService/FullDuplexCall": (
        [DOWNLOAD, DOWNLOAD],
        [payload(3), payload(6)] * 2,
    ),
    "grpc.testing.TestService/HalfDuplexCall": (
        [DOWNLOAD, DOWNLOAD],
        [payload(3), payload(6)] * 2,
    ),
    "grpc.testing.TestService/StreamingInputCall": (
        [payload(3), payload(6)],
        [{"aggregatedPayloadSize": 9}],
    ),
    "grpc.testing.TestService/StreamingOutputCall": (
        [DOWNLOAD],
        [payload(3), payload(6)],
    ),
    "grpc.testing.TestService/UnaryCall": (
        [{"responseSize": 3}],
        [payload(3) | {"hostname": gethostname()}],
    ),
    "grpc.testing.TestService/UnimplementedCall": (
        [{}],
        [],
    ),
    "grpc.testing.XdsUpdateHealthService/SendHookRequest": (
        [{}],
        [],
    ),
    # The tests run in this order, so the server is SERVING after them.
    "grpc.testing.XdsUpdateHealthService/SetNotServing": (
        [{}],
        [{}],
    ),
    "grpc.testing.XdsUpdateHealthService/SetServing": (
        [{}],
        [{}],
    ),
    "helloworld.Greeter/SayHello": (
        [{"name": "you"}],
        message("Hello, you!"),
    ),
    "unary.Unary/GetServerResponse": (
        [{"message": "hi"}],
        [
            {
                "message": 'Hello I am up and running received "hi" message from you',
                "received": True,
            }
        ],
    ),
    "xds.service.orca.v3.OpenRcaService/StreamCoreMetrics": (
        [{}],
        [{}],
    ),
}
