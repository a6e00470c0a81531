"""The greet guide's clients: all four kinds of calls, with the method names of both families."""

import queue

from guide_case import UNICODE, GuideCase, on_both_addresses
from harness import BOUND, run_tests
from stubs import stubs

greet_pb2, greet_pb2_grpc = stubs("greet")


class Greet(GuideCase):
    stub_class = greet_pb2_grpc.GreeterStub

    def test_say_hello(self):
        self.assert_replies(self.stub.SayHello, bello("Keys"), reply("Bello Keys!"))

    def test_say_hello_in_unicode(self):
        self.assert_replies(self.stub.SayHello, bello(UNICODE), reply(f"Bello {UNICODE}!"))

    def test_say_hello_takes_an_empty_message(self):
        self.assert_replies(self.stub.SayHello, greet_pb2.HelloRequest(), reply(" !"))

    def test_parrot_of_family_a(self):
        expected = [reply(f"Bello Keys {i}!") for i in (1, 2, 3)]
        self.assert_replies(self.stub.ParrotSayHello, bello("Keys"), *expected)

    def test_parrot_of_family_b(self):
        expected = [reply(f"Bello Keys {i}") for i in (1, 2, 3)]
        self.assert_replies(self.stub.ParrotSaysHello, bello("Keys"), *expected)

    def test_parrots_take_an_empty_message(self):
        nothing = greet_pb2.HelloRequest()
        a, b = ([reply(f"  {i}{end}") for i in (1, 2, 3)] for end in ("!", ""))
        self.assert_replies(self.stub.ParrotSayHello, nothing, *a)
        self.assert_replies(self.stub.ParrotSaysHello, nothing, *b)

    def test_chatty_client_of_family_a(self):
        self.assert_chatty("ChattyClientSayHello", [bello("Keys"), bello(UNICODE), bello("")])

    def test_chatty_client_of_family_b(self):
        self.assert_chatty("ChattyClientSaysHello", [bello("Keys"), bello(UNICODE), bello("")])

    def test_chatty_clients_may_send_nothing(self):
        for method in chatty:
            self.assert_chatty(method, [])
            self.assert_chatty(method, [greet_pb2.HelloRequest()])

    def test_conversation_of_family_a(self):
        self.assert_conversation(self.stub.InteractiveSayHello, "!")

    def test_conversation_of_family_b(self):
        self.assert_conversation(self.stub.InteractingHello, "")

    def test_conversations_may_be_empty(self):
        self.assert_replies(self.stub.InteractiveSayHello, [])
        self.assert_replies(self.stub.InteractingHello, [])

    def assert_chatty(self, method, requests):
        message = chatty[method].format(n=len(requests))
        expected = greet_pb2.DelayedReply(message=message, request=requests)
        self.assert_replies(getattr(self.stub, method), requests, expected)

    def assert_conversation(self, method, end):
        """Sends each request after the reply to the previous one."""
        requests = queue.SimpleQueue()
        replies = method(iter(requests.get, None), timeout=BOUND)
        for name in ("Keys", UNICODE, ""):
            requests.put(bello(name))
            self.assertEqual(next(replies), reply(f"Bello {name}{end}"))
        requests.put(None)
        self.assertEqual(list(replies), [])


chatty = {
    "ChattyClientSayHello": "You have sent {n} messages! Please expect a delayed response...",
    "ChattyClientSaysHello": "You have sent {n} messages. Please expect a delayed response.",
}


def bello(name):
    return greet_pb2.HelloRequest(greeting="Bello", name=name)


def reply(message):
    return greet_pb2.HelloReply(message=message)


def load_tests(*_):
    return on_both_addresses(Greet)


if __name__ == "__main__":
    run_tests()
