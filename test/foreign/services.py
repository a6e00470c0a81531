"""The services of the server."""

SERVICES = (
    "Hello",
    "SampleService",
    "greet.Greeter",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "grpc.testing.TestService",
    "grpc.testing.XdsUpdateHealthService",
    "helloworld.Greeter",
    "unary.Unary",
    "xds.service.orca.v3.OpenRcaService",
)
