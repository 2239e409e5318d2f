package interop

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestLibraries runs every scenario with every outside library, in each version
// that the library speaks, against every broker under test.
func TestLibraries(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		for _, l := range libraries {
			for _, v := range l.versions {
				t.Run(fmt.Sprintf("%s %s", l.name, v), func(t *testing.T) {
					t.Parallel()
					d := l.open(t)
					for _, s := range scenarios {
						if v < s.from {
							continue
						}
						t.Run(s.name, func(t *testing.T) {
							b := startBroker(t, kind)
							s.run(&scene{T: t, broker: b, driver: d, version: v, library: l.name})
						})
					}
				})
			}
		}
	})
}

// scenario is something that people do with a broker; from is the first
// version of MQTT that has it.
type scenario struct {
	name string
	from version
	run  func(*scene)
}

var scenarios = []scenario{
	{"connect, and Session Present is 0 at first [MQTT-4.2-1] [MQTT311-7.1.1-1] [MQTT-3.1.4-5] [MQTT-3.2.2-2] [MQTT311-3.1.4-4]", v31, connectAtFirst},
	{"QoS 0, 1 and 2 to subscriptions of QoS 0, 1 and 2 [MQTT-3.8.4-8] [MQTT311-3.8.4-6]", v31, qualityOfService},
	{"a thousand messages in order [MQTT-4.6.0-5] [MQTT311-4.6.0-6]", v31, order},
	{"payloads of no byte, of every byte and of 300 KB", v31, payloads},
	{"topics in UTF-8 [MQTT-4.7.3-4] [MQTT311-4.7.3-4]", v31, topicsInUTF8},
	{"wildcards [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT311-4.7.2-1]", v31, wildcards},
	{"retained message: seen by a later subscriber, replaced, cleared [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT311-3.3.1-6] [MQTT311-3.3.1-10]", v31, retained},
	{"will on a lost connection, none after DISCONNECT [MQTT-3.1.2-8] [MQTT-3.14.4-3] [MQTT311-3.1.2-8] [MQTT311-3.14.4-3]", v31, will},
	{"retained will [MQTT-3.1.2-15] [MQTT311-3.1.2-17]", v31, retainedWill},
	{"session resumed with queued messages [MQTT-3.1.2-5] [MQTT-3.2.2-3] [MQTT311-3.1.2-4] [MQTT311-3.1.2-5] [MQTT311-3.2.2-2]", v31, sessionResumed},
	{"session left behind by a lost connection [MQTT-3.1.2-23] [MQTT311-3.1.2-5]", v31, sessionAfterAbort},
	{"clean start discards the session [MQTT-3.1.2-4] [MQTT311-3.1.2-6]", v31, cleanStart},
	{"takeover of a ClientID [MQTT-3.1.4-3] [MQTT311-3.1.4-2]", v31, takeover},
	{"unsubscribe [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT311-3.10.4-2] [MQTT311-3.10.4-4]", v31, unsubscribe},
	{"a subscription replaced by one of another QoS [MQTT-3.8.4-3] [MQTT311-3.8.4-3]", v31, subscriptionReplaced},

	{"Assigned Client Identifier [MQTT-3.1.3-7] [MQTT-3.2.2-16]", v5, assignedClientID},
	{"properties of a message reach the subscriber [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]", v5, messageProperties},
	{"Message Expiry Interval is passed on [MQTT-3.3.2-6]", v5, messageExpiry},
	{"properties of a retained message and of a will", v5, storedProperties},
	{"request and response", v5, requestResponse},
	{"Reason Codes 0x00 and 0x10 of PUBACK and PUBREC, 0x11 of UNSUBACK [MQTT-3.4.2-1]", v5, reasonCodes},
	{"Session Expiry Interval: 0 and absent end the session, more keeps it [MQTT-4.1.0-2] [MQTT-3.1.2-23]", v5, sessionExpiry},
	{"DISCONNECT with Will Message (0x04)", v5, disconnectWithWill},
	{"Will Delay Interval: a reconnect in time keeps the will back [MQTT-3.1.3-9]", v5, willDelay},
	{"No Local [MQTT-3.8.3-3]", v5, noLocal},
	{"Retain As Published [MQTT-3.3.1-12] [MQTT-3.3.1-13]", v5, retainAsPublished},
	{"Retain Handling 0, 1 and 2 [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]", v5, retainHandling},
	{"Subscription Identifiers [MQTT-3.3.4-3]", v5, subscriptionIdentifiers},
	{"Shared Subscription [MQTT-4.8.2-3]", v5, sharedSubscription},
}

// scene is a scenario under way.
type scene struct {
	*testing.T
	broker  *broker
	driver  driver
	version version
	library string
}

// actor is a connection of a scene whose failures end the test.
type actor struct {
	*testing.T
	connection
	name    string
	connack connack
}

// connect makes a connection with a Clean Start.
func (s *scene) connect(clientID string) *actor {
	s.Helper()
	return s.connectWith(connectOptions{ClientID: clientID, Clean: true})
}

// connectLasting makes a connection whose session outlives it, without a Clean Start.
func (s *scene) connectLasting(clientID string) *actor {
	s.Helper()
	return s.connectWith(connectOptions{ClientID: clientID, SessionExpiry: in5(s.version, 600)})
}

func (s *scene) connectWith(o connectOptions) *actor {
	s.Helper()
	o.Port, o.Version, o.WebSocket = s.broker.port, s.version, s.broker.webSocket
	o.CA = s.broker.ca
	c, answer, err := s.driver.connect(o)
	if err != nil || answer.Code != 0 {
		s.Fatalf("connect as %q: code %d, %v", o.ClientID, answer.Code, err)
	}
	s.Cleanup(func() { _ = c.abort() }) // it may have ended already
	return &actor{T: s.T, connection: c, name: o.ClientID, connack: answer}
}

// in5 returns n for 5.0 and nothing for the versions without properties.
func in5(v version, n uint32) *uint32 {
	if v < v5 {
		return nil
	}
	return &n
}

// subscribes wants the QoS asked for to be granted.
func (a *actor) subscribes(filter string, qos byte) {
	a.Helper()
	a.subscribesWith(subscription{Filter: filter, QoS: qos})
}

func (a *actor) subscribesWith(s subscription) {
	a.Helper()
	code, err := a.subscribe(s)
	if err != nil {
		a.Fatalf("%s subscribes to %s: %v", a.name, s.Filter, err)
	}
	if code != int(s.QoS) {
		a.Fatalf("%s subscribes to %s: SUBACK 0x%02X, want QoS %d granted", a.name, s.Filter, code, s.QoS)
	}
}

func (a *actor) unsubscribes(filter string) int {
	a.Helper()
	code, err := a.unsubscribe(filter)
	if err != nil {
		a.Fatalf("%s unsubscribes from %s: %v", a.name, filter, err)
	}
	return code
}

func (a *actor) publishes(m message) int {
	a.Helper()
	code, err := a.publish(m)
	if err != nil {
		a.Fatalf("%s publishes %s: %v", a.name, m, err)
	}
	return code
}

// says publishes a text.
func (a *actor) says(topic, text string, qos byte) {
	a.Helper()
	a.publishes(message{Topic: topic, Payload: []byte(text), QoS: qos})
}

func (a *actor) leaves() {
	a.Helper()
	if err := a.disconnect(0); err != nil {
		a.Fatalf("%s disconnects: %v", a.name, err)
	}
}

// crashes closes the Network Connection without DISCONNECT.
func (a *actor) crashes() {
	a.Helper()
	if err := a.abort(); err != nil {
		a.Fatalf("%s closes its Network Connection: %v", a.name, err)
	}
}

// receives wants the next message to be the text, and returns it.
func (a *actor) receives(topic, text string, qos byte, retain bool) message {
	a.Helper()
	want := message{Topic: topic, Payload: []byte(text), QoS: qos, Retain: retain}
	got := a.receivesAny()
	if got.String() != want.String() || !bytes.Equal(got.Payload, want.Payload) {
		a.Fatalf("%s received %s, want %s", a.name, got, want)
	}
	return got
}

// receivesQueued is receives for a message published after the client left. The
// broker may have seen that message before the DISCONNECT, which came over
// another connection: DUP is then right.
func (a *actor) receivesQueued(topic, text string, qos byte) message {
	a.Helper()
	want := message{Topic: topic, Payload: []byte(text), QoS: qos}
	got := a.receivesAny()
	want.Duplicate = got.Duplicate
	if got.String() != want.String() {
		a.Fatalf("%s received %s, want %s", a.name, got, want)
	}
	return got
}

func (a *actor) receivesAny() message {
	a.Helper()
	got, err := a.inbox().next()
	if err != nil {
		a.Fatalf("%s waits for a message: %v", a.name, err)
	}
	return got
}

func connectAtFirst(s *scene) {
	for _, lasting := range []bool{false, true} {
		a := s.connectWith(connectOptions{ClientID: fmt.Sprint("first-", lasting), Clean: !lasting, SessionExpiry: in5(s.version, 600)})
		if a.connack.SessionPresent {
			s.Errorf("Session Present is 1 for a ClientID never seen (lasting session: %v), want 0", lasting)
		}
		a.leaves()
	}
}

func qualityOfService(s *scene) {
	publisher := s.connect("publisher")
	for granted := byte(0); granted <= 2; granted++ {
		subscriber := s.connect(fmt.Sprint("subscriber", granted))
		subscriber.subscribes("your/topic", granted)
		for qos := byte(0); qos <= 2; qos++ {
			text := fmt.Sprintf("QoS %d to a subscription of QoS %d", qos, granted)
			publisher.says("your/topic", text, qos)
			subscriber.receives("your/topic", text, min(qos, granted), false)
		}
		subscriber.leaves()
	}
}

func order(s *scene) {
	const count = 1000
	publisher, subscriber := s.connect("publisher"), s.connect("subscriber")
	subscriber.subscribes("count/+", 2)
	for n := range count {
		publisher.says("count/up", fmt.Sprint(n), byte(n/400)) // QoS 0, then 1, then 2
	}
	for n := range count {
		subscriber.receives("count/up", fmt.Sprint(n), byte(n/400), false)
	}
}

func payloads(s *scene) {
	a := s.connect("payloads")
	a.subscribes("payload", 1)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	large := bytes.Repeat(every, 1200)
	for _, want := range [][]byte{{}, every, large} {
		a.publishes(message{Topic: "payload", Payload: want, QoS: 1})
		if got := a.receivesAny(); !bytes.Equal(got.Payload, want) {
			s.Errorf("a payload of %d bytes arrived as %d bytes, changed", len(want), len(got.Payload))
		}
	}
}

func topicsInUTF8(s *scene) {
	a := s.connect("topics")
	a.subscribes("#", 0)
	for _, topic := range []string{"a", "/", "//", "a b", "café/été", "cafe\u0301", "温度/居間", "🐦", strings.Repeat("x/", 100) + "y"} {
		a.says(topic, "hello", 0)
		a.receives(topic, "hello", 0, false)
	}
}

// house holds the topics of the connected house of the scenarios B.
var house = []string{
	"maison/salon", "maison/salon/temperature", "maison/salon/humidite", "maison/salon/lumieres/etat",
	"maison/salon/lumieres/plafond/couleur", "maison/cuisine/temperature", "maison/salon/etagere1/temperature",
	"$maison/salon/temperature",
}

// houseFilters are filters with the topics of the house that they match.
var houseFilters = []struct {
	filter string
	match  []string
}{
	{"maison/+/temperature", []string{"maison/salon/temperature", "maison/cuisine/temperature"}},
	{"maison/salon/#", []string{
		"maison/salon", "maison/salon/temperature", "maison/salon/humidite", "maison/salon/lumieres/etat",
		"maison/salon/lumieres/plafond/couleur", "maison/salon/etagere1/temperature",
	}},
	{"#", house[:7]},
	{"+/salon/temperature", []string{"maison/salon/temperature"}},
	{"+/+", []string{"maison/salon"}},
	{"$maison/#", []string{"$maison/salon/temperature"}},
	{"maison/+/+/#", []string{
		"maison/salon/temperature", "maison/salon/humidite", "maison/salon/lumieres/etat",
		"maison/salon/lumieres/plafond/couleur", "maison/cuisine/temperature", "maison/salon/etagere1/temperature",
	}},
}

func wildcards(s *scene) {
	publisher := s.connect("publisher")
	for i, row := range houseFilters {
		subscriber := s.connect(fmt.Sprint("subscriber", i))
		subscriber.subscribes(row.filter, 0)
		// The last message marks the end: what has not come before it does not come.
		subscriber.subscribes("end/of/list", 0)
		for _, topic := range append(slices.Clone(house), "end/of/list") {
			publisher.says(topic, "x", 0)
		}
		var got []string
		for m := subscriber.receivesAny(); m.Topic != "end/of/list"; m = subscriber.receivesAny() {
			got = append(got, m.Topic)
		}
		if !slices.Equal(got, row.match) {
			s.Errorf("%s received\n\t%q, want\n\t%q", row.filter, got, row.match)
		}
		subscriber.leaves()
	}
}

func retained(s *scene) {
	publisher, early := s.connect("publisher"), s.connect("early")
	early.subscribes("state/#", 2)
	for qos := byte(0); qos <= 2; qos++ {
		topic := fmt.Sprint("state/", qos)
		publisher.publishes(message{Topic: topic, Payload: []byte("old"), QoS: qos, Retain: true})
		early.receives(topic, "old", qos, false)
		publisher.publishes(message{Topic: topic, Payload: []byte("new"), QoS: qos, Retain: true})
		early.receives(topic, "new", qos, false)
		publisher.says(topic, "not kept", qos)
		early.receives(topic, "not kept", qos, false)

		later := s.connect(fmt.Sprint("later", qos))
		later.subscribes(topic, 2)
		later.receives(topic, "new", qos, true)
		publisher.publishes(message{Topic: topic, QoS: qos, Retain: true})
		later.receives(topic, "", qos, false)

		last := s.connect(fmt.Sprint("last", qos))
		last.subscribes(topic, 2)
		publisher.says(topic, "end", qos)
		last.receives(topic, "end", qos, false)
		early.receives(topic, "", qos, false)
		early.receives(topic, "end", qos, false)
	}
}

func will(s *scene) {
	watcher := s.connect("watcher")
	watcher.subscribes("will/#", 2)
	for qos := byte(0); qos <= 2; qos++ {
		topic := fmt.Sprint("will/", qos)
		options := connectOptions{Clean: true, Will: &message{Topic: topic, Payload: []byte("gone"), QoS: qos}}
		options.ClientID = fmt.Sprint("polite", qos)
		s.connectWith(options).leaves()
		watcher.says(topic, "left", qos)
		watcher.receives(topic, "left", qos, false)
		options.ClientID = fmt.Sprint("mortal", qos)
		s.connectWith(options).crashes()
		watcher.receives(topic, "gone", qos, false)
	}
}

func retainedWill(s *scene) {
	watcher := s.connect("watcher")
	watcher.subscribes("status", 1)
	s.connectWith(connectOptions{ClientID: "mortal", Clean: true, Will: &message{Topic: "status", Payload: []byte("gone"), QoS: 1, Retain: true}}).crashes()
	watcher.receives("status", "gone", 1, false)
	later := s.connect("later")
	later.subscribes("status", 1)
	later.receives("status", "gone", 1, true)
}

func sessionResumed(s *scene) {
	publisher := s.connect("publisher")
	sleeper := s.connectLasting("sleeper")
	sleeper.subscribes("queue/#", 2)
	sleeper.leaves()
	for n := range 30 {
		publisher.says("queue/one", fmt.Sprint("first ", n), 1)
		publisher.says("queue/two", fmt.Sprint("second ", n), 2)
	}
	awake := s.connectLasting("sleeper")
	awake.wantSessionPresent(s.version, true)
	// Order is promised for one topic and QoS only.
	next := map[string]int{"queue/one": 0, "queue/two": 0}
	for range 60 {
		m := awake.receivesAny()
		want := message{Topic: "queue/one", Payload: fmt.Append(nil, "first ", next[m.Topic]), QoS: 1}
		if m.Topic == "queue/two" {
			want = message{Topic: "queue/two", Payload: fmt.Append(nil, "second ", next[m.Topic]), QoS: 2}
		}
		want.Duplicate = m.Duplicate // see receivesQueued
		if m.String() != want.String() {
			s.Fatalf("received %s, want %s", m, want)
		}
		next[m.Topic]++
	}
	publisher.says("queue/one", "live", 1)
	awake.receives("queue/one", "live", 1, false)
}

// wantSessionPresent checks the CONNACK, whose flag 3.1 does not have.
func (a *actor) wantSessionPresent(v version, want bool) {
	a.Helper()
	if v == v31 {
		return
	}
	if got := a.connack.SessionPresent; got != want {
		a.Fatalf("%s: Session Present is %v, want %v", a.name, got, want)
	}
}

func sessionAfterAbort(s *scene) {
	sleeper, publisher := s.connectLasting("sleeper"), s.connect("publisher")
	sleeper.subscribes("queue", 1)
	publisher.says("queue", "seen", 1)
	sleeper.receives("queue", "seen", 1, false)
	sleeper.crashes()
	publisher.says("queue", "missed", 1)
	awake := s.connectLasting("sleeper")
	awake.wantSessionPresent(s.version, true)
	publisher.says("queue", "live", 1)
	m := awake.receivesAny()
	if string(m.Payload) == "seen" && m.Duplicate { // its PUBACK may have been lost with the connection
		m = awake.receivesAny()
	}
	if got := string(m.Payload); got != "missed" {
		s.Fatalf("after the lost connection %q arrived, want %q", got, "missed")
	}
	awake.receives("queue", "live", 1, false)
}

func cleanStart(s *scene) {
	sleeper, publisher := s.connectLasting("sleeper"), s.connect("publisher")
	sleeper.subscribes("queue", 1)
	sleeper.leaves()
	publisher.says("queue", "missed", 1)
	fresh := s.connect("sleeper")
	fresh.wantSessionPresent(s.version, false)
	fresh.subscribes("end", 1)
	publisher.says("queue", "not subscribed any more", 1)
	publisher.says("end", "end", 1)
	fresh.receives("end", "end", 1, false)
}

func takeover(s *scene) {
	first := s.connectLasting("same")
	first.subscribes("topic", 1)
	second := s.connectLasting("same")
	second.wantSessionPresent(s.version, true)
	code, err := first.inbox().waitEnd()
	if err != nil {
		s.Fatalf("the first connection with the ClientID does not end: %v", err)
	}
	// Mosquitto 2.0 closes the connection without a word, against the standard.
	if s.version == v5 && code != 0x8E && !(s.broker.kind == mosquitto && code == notTold) {
		s.Errorf("the first connection was told Reason Code %d, want 142 (0x8E, Session taken over)", code)
	}
	second.says("topic", "still subscribed", 1)
	second.receives("topic", "still subscribed", 1, false)
}

func unsubscribe(s *scene) {
	a := s.connect("fickle")
	a.subscribes("a/+", 1)
	a.subscribes("b", 1)
	a.says("a/b", "before", 1)
	a.receives("a/b", "before", 1, false)
	a.unsubscribes("a/+")
	a.says("a/b", "after", 1)
	a.says("b", "end", 1)
	a.receives("b", "end", 1, false)
	a.unsubscribes("never/subscribed") // [MQTT311-3.10.4-5]
}

func subscriptionReplaced(s *scene) {
	a := s.connect("twice")
	a.subscribes("topic", 2)
	a.subscribes("topic", 0)
	a.says("topic", "one copy, QoS 0", 2)
	a.says("topic", "end", 2)
	a.receives("topic", "one copy, QoS 0", 0, false)
	a.receives("topic", "end", 0, false)
}

func assignedClientID(s *scene) {
	first, second := s.connect(""), s.connect("")
	if first.connack.AssignedClientID == "" || first.connack.AssignedClientID == second.connack.AssignedClientID {
		s.Errorf("two clients without a ClientID were assigned %q and %q, want two names",
			first.connack.AssignedClientID, second.connack.AssignedClientID)
	}
}

// full is a message with every property that a publisher may set.
func full(topic string) message {
	utf8 := byte(1)
	return message{
		Topic: topic, Payload: []byte("21,5 °C"), QoS: 1, ContentType: "text/plain; charset=utf-8",
		ResponseTopic: "answers/here", CorrelationData: []byte{0, 1, 0xFE, 0xFF}, PayloadFormat: &utf8,
		// One name twice: they have to stay two, in order.
		UserProperties: [][2]string{{"unit", "°C"}, {"unit", "celsius"}, {"sensor", ""}, {"", "nameless"}},
	}
}

// receivesProperties wants the next message to have the properties of want.
func (a *actor) receivesProperties(want message) {
	a.Helper()
	got := a.receivesAny()
	if got.Topic != want.Topic || !bytes.Equal(got.Payload, want.Payload) {
		a.Fatalf("%s received %s, want %s", a.name, got, want)
	}
	if got.ContentType != want.ContentType {
		a.Errorf("Content Type %q, want %q", got.ContentType, want.ContentType)
	}
	if got.ResponseTopic != want.ResponseTopic {
		a.Errorf("Response Topic %q, want %q", got.ResponseTopic, want.ResponseTopic)
	}
	if !bytes.Equal(got.CorrelationData, want.CorrelationData) {
		a.Errorf("Correlation Data %x, want %x", got.CorrelationData, want.CorrelationData)
	}
	if got.PayloadFormat == nil || *got.PayloadFormat != *want.PayloadFormat {
		a.Errorf("Payload Format Indicator %v, want %d", got.PayloadFormat, *want.PayloadFormat)
	}
	if !slices.Equal(got.UserProperties, want.UserProperties) {
		a.Errorf("User Properties %q, want %q", got.UserProperties, want.UserProperties)
	}
}

func messageProperties(s *scene) {
	publisher, subscriber := s.connect("publisher"), s.connect("subscriber")
	subscriber.subscribes("topic", 2)
	for qos := byte(0); qos <= 2; qos++ {
		m := full("topic")
		m.QoS = qos
		publisher.publishes(m)
		subscriber.receivesProperties(m)
	}
	publisher.says("topic", "plain", 1)
	m := subscriber.receives("topic", "plain", 1, false)
	if m.hasProperties() {
		s.Errorf("a message without properties arrived with some: %+v", m)
	}
}

func messageExpiry(s *scene) {
	publisher, listener, sleeper := s.connect("publisher"), s.connect("listener"), s.connectLasting("sleeper")
	listener.subscribes("topic", 1)
	sleeper.subscribes("topic", 1)
	sleeper.leaves()
	expiry := uint32(3600)
	publisher.publishes(message{Topic: "topic", Payload: []byte("timely"), QoS: 1, MessageExpiry: &expiry})
	for _, m := range []message{
		listener.receives("topic", "timely", 1, false),
		s.connectLasting("sleeper").receivesQueued("topic", "timely", 1),
	} {
		if m.MessageExpiry == nil || *m.MessageExpiry > expiry || *m.MessageExpiry < expiry-60 {
			s.Errorf("%s: Message Expiry Interval %v, want what is left of %d", m, m.MessageExpiry, expiry)
		}
	}
}

func storedProperties(s *scene) {
	publisher, subscriber := s.connect("publisher"), s.connect("subscriber")
	m := full("kept")
	m.Retain = true
	publisher.publishes(m)
	subscriber.subscribes("kept", 1)
	subscriber.receivesProperties(m)
	subscriber.subscribes("will", 1)
	w := full("will")
	s.connectWith(connectOptions{ClientID: "mortal", Clean: true, Will: &w}).crashes()
	if s.library == "paho.golang" { // 0.23 sends only the delay and the User Properties of a will
		got := subscriber.receives("will", string(w.Payload), 1, false)
		if !slices.Equal(got.UserProperties, w.UserProperties) {
			s.Errorf("User Properties %q, want %q", got.UserProperties, w.UserProperties)
		}
		return
	}
	subscriber.receivesProperties(w)
}

func requestResponse(s *scene) {
	requester, responder := s.connect("requester"), s.connect("responder")
	requester.subscribes("answers/requester", 1)
	responder.subscribes("questions", 1)
	requester.publishes(message{Topic: "questions", Payload: []byte("6 × 7?"), QoS: 1, ResponseTopic: "answers/requester", CorrelationData: []byte("a1")})
	question := responder.receives("questions", "6 × 7?", 1, false)
	responder.publishes(message{Topic: question.ResponseTopic, Payload: []byte("42"), QoS: 1, CorrelationData: question.CorrelationData})
	answer := requester.receives("answers/requester", "42", 1, false)
	if got := string(answer.CorrelationData); got != "a1" {
		s.Errorf("Correlation Data %q, want %q", got, "a1")
	}
}

func reasonCodes(s *scene) {
	a := s.connect("curious")
	a.subscribes("heard", 2)
	for _, row := range []struct {
		topic string
		qos   byte
		codes []int
	}{
		{"heard", 1, []int{0x00}},
		{"unheard", 1, []int{0x10}},
		{"heard", 2, []int{0x00}},
		{"unheard", 2, []int{0x10, 0x00}}, // a broker may find its subscribers later, at PUBREL
	} {
		got := a.publishes(message{Topic: row.topic, Payload: []byte("x"), QoS: row.qos})
		if got != notTold && !slices.Contains(row.codes, got) {
			s.Errorf("publish to %s at QoS %d: Reason Code 0x%02X, want one of %#02x", row.topic, row.qos, got, row.codes)
		}
	}
	for _, want := range []int{0x00, 0x11} {
		if got := a.unsubscribes("heard"); got != want {
			s.Errorf("UNSUBACK: Reason Code 0x%02X, want 0x%02X", got, want)
		}
	}
}

func sessionExpiry(s *scene) {
	none, ever := uint32(0), uint32(0xFFFFFFFF)
	for _, row := range []struct {
		name   string
		expiry *uint32
		kept   bool
	}{{"absent", nil, false}, {"zero", &none, false}, {"never", &ever, true}} {
		options := connectOptions{ClientID: "expiry-" + row.name, SessionExpiry: row.expiry}
		a := s.connectWith(options)
		a.subscribes("topic", 1)
		a.leaves()
		s.connectWith(options).wantSessionPresent(v5, row.kept)
	}
}

func disconnectWithWill(s *scene) {
	watcher := s.connect("watcher")
	watcher.subscribes("will", 1)
	mortal := s.connectWith(connectOptions{ClientID: "mortal", Clean: true, Will: &message{Topic: "will", Payload: []byte("gone"), QoS: 1}})
	if err := mortal.disconnect(0x04); err != nil {
		s.Fatal(err)
	}
	watcher.receives("will", "gone", 1, false)
}

func willDelay(s *scene) {
	watcher := s.connect("watcher")
	watcher.subscribes("will", 1)
	long, short, ever := uint32(600), uint32(1), uint32(600)
	options := connectOptions{
		ClientID: "mortal", SessionExpiry: &ever, WillDelay: &long,
		Will: &message{Topic: "will", Payload: []byte("delayed for long"), QoS: 1},
	}
	s.connectWith(options).crashes()
	options.WillDelay, options.Will = &short, &message{Topic: "will", Payload: []byte("delayed a little"), QoS: 1}
	s.connectWith(options).crashes()
	watcher.says("will", "not yet", 1)
	watcher.receives("will", "not yet", 1, false)
	watcher.receives("will", "delayed a little", 1, false)
}

func noLocal(s *scene) {
	a, other := s.connect("speaker"), s.connect("other")
	a.subscribesWith(subscription{Filter: "room", QoS: 1, NoLocal: true})
	a.says("room", "my own", 1)
	other.says("room", "of another", 1)
	a.receives("room", "of another", 1, false)
}

func retainAsPublished(s *scene) {
	publisher := s.connect("publisher")
	plain, kept := s.connect("plain"), s.connect("kept")
	plain.subscribes("topic", 1)
	kept.subscribesWith(subscription{Filter: "topic", QoS: 1, RetainAsPublished: true})
	publisher.publishes(message{Topic: "topic", Payload: []byte("retained"), QoS: 1, Retain: true})
	plain.receives("topic", "retained", 1, false)
	kept.receives("topic", "retained", 1, true)
	publisher.says("topic", "not retained", 1)
	plain.receives("topic", "not retained", 1, false)
	kept.receives("topic", "not retained", 1, false)
}

func retainHandling(s *scene) {
	publisher := s.connect("publisher")
	publisher.publishes(message{Topic: "topic", Payload: []byte("retained"), QoS: 1, Retain: true})
	for handling, want := range [][]bool{{true, true}, {true, false}, {false, false}} {
		a := s.connect(fmt.Sprint("handling", handling))
		a.subscribes("end", 1)
		for attempt, sent := range want {
			a.subscribesWith(subscription{Filter: "topic", QoS: 1, RetainHandling: byte(handling)})
			a.says("end", "end", 1)
			m := a.receivesAny()
			if got := m.Topic == "topic"; got != sent {
				s.Errorf("Retain Handling %d, subscription %d: retained message sent is %v, want %v", handling, attempt+1, got, sent)
			}
			if m.Topic == "topic" {
				a.receives("end", "end", 1, false)
			}
		}
	}
}

func subscriptionIdentifiers(s *scene) {
	a := s.connect("numbered")
	a.subscribesWith(subscription{Filter: "a/+", QoS: 1, ID: 7})
	a.subscribesWith(subscription{Filter: "b", QoS: 1, ID: 268435455})
	a.subscribes("c", 1)
	for _, row := range []struct {
		topic string
		ids   []int
	}{{"a/b", []int{7}}, {"b", []int{268435455}}, {"c", nil}} {
		a.says(row.topic, "x", 1)
		if m := a.receives(row.topic, "x", 1, false); !slices.Equal(m.SubscriptionIDs, row.ids) {
			s.Errorf("%s: Subscription Identifiers %v, want %v", row.topic, m.SubscriptionIDs, row.ids)
		}
	}
}

func sharedSubscription(s *scene) {
	const count = 100
	publisher := s.connect("publisher")
	workers := []*actor{s.connect("worker1"), s.connect("worker2")}
	for _, w := range workers {
		w.subscribes("$share/crew/job/+", 1)
		w.subscribes("end", 1)
	}
	for n := range count {
		publisher.says("job/n", fmt.Sprint(n), 1)
	}
	publisher.says("end", "end", 1)
	seen := map[string]int{}
	for _, w := range workers {
		mine := 0
		for m := w.receivesAny(); m.Topic != "end"; m = w.receivesAny() {
			seen[string(m.Payload)]++
			mine++
		}
		if mine == 0 {
			s.Errorf("%s had no job at all", w.name)
		}
	}
	for n := range count {
		if got := seen[fmt.Sprint(n)]; got != 1 {
			s.Errorf("job %d was done %d times, want once", n, got)
		}
	}
}
