"""Drives paho-mqtt 1.6 for the interop tests.

Reads one JSON object per line on standard input and answers with one per line
on standard output; remote_test.go describes them. Requests are served one
after the other; messages and ends of connections are reported when they come.
"""

import base64
import json
import os
import socket
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCodes
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 15  # seconds
NOT_TOLD = -1

_output = threading.Lock()


def say(line):
    with _output:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def code_of(value):
    """The number of a Reason Code, which 5.0 gives as an object."""
    return value.value if isinstance(value, ReasonCodes) else int(value)


def properties_of(kind, message):
    properties = Properties(kind)
    if message.get("content_type"):
        properties.ContentType = message["content_type"]
    if message.get("response_topic"):
        properties.ResponseTopic = message["response_topic"]
    if message.get("correlation_data"):
        properties.CorrelationData = base64.b64decode(message["correlation_data"])
    if message.get("message_expiry") is not None:
        properties.MessageExpiryInterval = message["message_expiry"]
    if message.get("payload_format") is not None:
        properties.PayloadFormatIndicator = message["payload_format"]
    for name, value in message.get("user_properties") or []:
        properties.UserProperty = (name, value)
    return properties


def payload_of(message):
    return base64.b64decode(message.get("payload") or "")


def told(message):
    """A received message as the line protocol writes it."""
    line = {
        "topic": message.topic,
        "payload": base64.b64encode(message.payload).decode(),
        "qos": message.qos,
        "retain": bool(message.retain),
        "duplicate": bool(message.dup),
    }
    properties = getattr(message, "properties", None)
    for name, key in (
        ("ContentType", "content_type"),
        ("ResponseTopic", "response_topic"),
        ("MessageExpiryInterval", "message_expiry"),
        ("PayloadFormatIndicator", "payload_format"),
        ("SubscriptionIdentifier", "subscription_ids"),
    ):
        if properties is not None and hasattr(properties, name):
            line[key] = getattr(properties, name)
    if properties is not None and hasattr(properties, "CorrelationData"):
        line["correlation_data"] = base64.b64encode(properties.CorrelationData).decode()
    if properties is not None and hasattr(properties, "UserProperty"):
        line["user_properties"] = [list(pair) for pair in properties.UserProperty]
    return line


class Connection:
    def __init__(self, name, options):
        self.name = name
        self.version = options["version"]
        self.changed = threading.Condition()
        self.connack = None
        self.closed = False
        self.answers = {}  # code of a SUBACK or UNSUBACK, by Packet Identifier
        five = self.version == mqtt.MQTTv5
        transport = "websockets" if options.get("websocket") else "tcp"
        if five:
            self.client = mqtt.Client(options["client_id"], protocol=self.version, transport=transport)
            self.client.on_disconnect = lambda _c, _u, code, _p=None: self.ended(code)
            self.client.on_connect = lambda _c, _u, flags, code, properties: self.connected(flags, code, properties)
            self.client.on_subscribe = lambda _c, _u, mid, codes, _p: self.answered(mid, codes[0])
            self.client.on_unsubscribe = lambda _c, _u, mid, _p, codes: self.answered(
                mid, codes[0] if isinstance(codes, list) else codes)
        else:
            self.client = mqtt.Client(options["client_id"], clean_session=options["clean"], protocol=self.version,
                                      transport=transport)
            self.client.on_disconnect = lambda _c, _u, _code: self.ended(NOT_TOLD)
            self.client.on_connect = lambda _c, _u, flags, code: self.connected(flags, code, None)
            self.client.on_subscribe = lambda _c, _u, mid, codes: self.answered(mid, codes[0])
            self.client.on_unsubscribe = lambda _c, _u, mid: self.answered(mid, NOT_TOLD)
        self.client.on_message = lambda _c, _u, message: say({"connection": name, "message": told(message)})
        if options.get("ca"):
            self.client.tls_set(options["ca"])
        # The library always reconnects; an hour puts that out of the test's way.
        self.client.reconnect_delay_set(3600, 3600)
        will = options.get("will")
        if will:
            properties = None
            if five:
                properties = properties_of(PacketTypes.WILLMESSAGE, will)
                if options.get("will_delay") is not None:
                    properties.WillDelayInterval = options["will_delay"]
            self.client.will_set(will["topic"], payload_of(will), will["qos"], will["retain"], properties)
        more = {}
        if five:
            properties = Properties(PacketTypes.CONNECT)
            if options.get("session_expiry") is not None:
                properties.SessionExpiryInterval = options["session_expiry"]
            more = {"clean_start": options["clean"], "properties": properties}
        self.client.connect("127.0.0.1", options["port"], keepalive=60, **more)
        self.client.loop_start()
        self.wait(lambda: self.connack is not None, "CONNACK")

    def wait(self, ready, what):
        with self.changed:
            if not self.changed.wait_for(ready, PATIENCE):
                raise RuntimeError("no " + what)

    def connected(self, flags, code, properties):
        with self.changed:
            self.connack = {
                "session_present": bool(flags["session present"]),
                "code": code_of(code),
                "assigned_client_id": getattr(properties, "AssignedClientIdentifier", ""),
            }
            self.changed.notify_all()

    def answered(self, mid, code):
        with self.changed:
            self.answers[mid] = code_of(code)
            self.changed.notify_all()

    def ended(self, code):
        # The library also reports its own errors here, as numbers below 128.
        number = code_of(code) if isinstance(code, ReasonCodes) else NOT_TOLD
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        say({"connection": self.name, "closed": True, "code": number})

    def answer_to(self, result, mid, what):
        if result != mqtt.MQTT_ERR_SUCCESS:
            raise RuntimeError(mqtt.error_string(result))
        self.wait(lambda: mid in self.answers, what)
        return {"code": self.answers.pop(mid)}

    def subscribe(self, s):
        if self.version != mqtt.MQTTv5:
            result, mid = self.client.subscribe(s["filter"], s["qos"])
            return self.answer_to(result, mid, "SUBACK")
        options = SubscribeOptions(
            qos=s["qos"],
            noLocal=s.get("no_local", False),
            retainAsPublished=s.get("retain_as_published", False),
            retainHandling=s.get("retain_handling", 0),
        )
        properties = Properties(PacketTypes.SUBSCRIBE)
        if s.get("id"):
            properties.SubscriptionIdentifier = s["id"]
        result, mid = self.client.subscribe(s["filter"], options=options, properties=properties)
        return self.answer_to(result, mid, "SUBACK")

    def unsubscribe(self, s):
        result, mid = self.client.unsubscribe(s["filter"])
        return self.answer_to(result, mid, "UNSUBACK")

    def publish(self, m):
        properties = properties_of(PacketTypes.PUBLISH, m) if self.version == mqtt.MQTTv5 else None
        info = self.client.publish(m["topic"], payload_of(m), m["qos"], m["retain"], properties)
        info.wait_for_publish(PATIENCE)
        if not info.is_published():
            raise RuntimeError("no acknowledgement")
        return {"code": NOT_TOLD}

    def disconnect(self, options):
        if self.version == mqtt.MQTTv5 and options["code"]:
            self.client.disconnect(ReasonCodes(PacketTypes.DISCONNECT, identifier=options["code"]))
        else:
            self.client.disconnect()
        self.wait(lambda: self.closed, "end of the connection")
        return {}

    def abort(self, _):
        descriptor = os.dup(self.client.socket().fileno())  # of the library's own wrapper, too
        with socket.socket(fileno=descriptor) as own:
            own.shutdown(socket.SHUT_RDWR)
        return {}


def main():
    connections = {}
    for text in sys.stdin:
        request = json.loads(text)
        name = request["connection"]
        try:
            if request["do"] == "connect":
                connections[name] = Connection(name, request["with"])
                answer = connections[name].connack
            else:
                answer = getattr(connections[name], request["do"])(request["with"])
        except Exception as problem:  # every failure is the test's to judge
            answer = {"error": f"{type(problem).__name__}: {problem}"}
        say({"id": request["id"], **answer})


main()
