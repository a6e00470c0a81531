"""What the server serves: everything in proto/, and nothing else."""

SERVICES = (
    "Hello",
    "SampleService",
    "greet.Greeter",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "helloworld.Greeter",
    "unary.Unary",
)
