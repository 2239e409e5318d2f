package session

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transcript"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// TestTranscripts plays every testdata/*.txt. A line in capitals is a packet of the
// client, one in small letters a call of the broker; the indented lines below it are
// what came out of the Session, and # begins a comment. call and packetOf say what the
// words mean.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, func(t *testing.T) func(words []string) string { return newScene(t).call })
}

// scene is a Session with what stands around it: a clock, and the Retained Messages.
type scene struct {
	t        *testing.T
	session  Session
	limits   Limits
	now      time.Time
	retained map[string]*colibri.Message
	out      Output
}

func newScene(t *testing.T) *scene {
	c := &scene{t: t, now: time.Unix(1_000_000_000, 0), retained: map[string]*colibri.Message{},
		limits: Limits{Inflight: 65_535, ReceiveMaximum: 65_535}}
	c.session = New(&c.limits)
	return c
}

// words are the words of one line: the first one by position, the others as name=value
// or as a name alone.
type words struct {
	t    *testing.T
	list []string
}

func (w words) value(name string) (string, bool) {
	for _, word := range w.list {
		if before, after, ok := strings.Cut(word, "="); ok && before == name {
			return after, true
		}
	}
	return "", false
}

func (w words) text(name string) string { v, _ := w.value(name); return v }

func (w words) has(name string) bool { return slices.Contains(w.list, name) }

func (w words) number(name string, otherwise int64) int64 {
	v, ok := w.value(name)
	if !ok {
		return otherwise
	}
	return parseNumber(w.t, v)
}

func parseNumber(t *testing.T, text string) int64 {
	if text == "never" {
		return NeverExpires
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return n
}

func (w words) id() uint16 { return uint16(parseNumber(w.t, w.list[1])) }

// from returns the words from position i on.
func (w words) from(i int) []string { return w.list[min(i, len(w.list)):] }

// message is TOPIC and PAYLOAD with qos=, retain, expires= (seconds from now).
func (c *scene) message(w words) *colibri.Message {
	m := &colibri.Message{Topic: w.list[1], QoS: colibri.QoS(w.number("qos", 0)), Retain: w.has("retain")}
	if len(w.list) > 2 && w.list[2] != "empty" {
		m.Payload = []byte(w.list[2])
	}
	if seconds, ok := w.value("expires"); ok {
		m.Expires = c.now.Add(time.Duration(parseNumber(c.t, seconds)) * time.Second).UnixNano()
	}
	return m
}

// subscription is FILTER, or FILTER,qos=1,nolocal,id=3,rap,handling=1.
func (c *scene) subscription(word string) colibri.Subscription {
	w := words{c.t, strings.Split(word, ",")}
	return colibri.Subscription{Filter: unquote(w.list[0]), QoS: colibri.QoS(w.number("qos", 0)), NoLocal: w.has("nolocal"),
		RetainAsPublished: w.has("rap"), RetainHandling: colibri.RetainHandling(w.number("handling", 0)),
		Identifier: uint32(w.number("id", 0))}
}

// unquote lets a transcript write what a word cannot hold: U+0000, bytes that are not UTF-8, nothing.
func unquote(word string) string {
	return strings.NewReplacer("<NUL>", "\x00", "<nothing>", "", "<not-UTF-8>", "\xff").Replace(word)
}

// call makes one step and returns what came out of it.
func (c *scene) call(list []string) string {
	w, s := words{c.t, list}, &c.session
	c.out.Reset()
	if list[0] == strings.ToUpper(list[0]) {
		if err := s.Receive(c.now, c.packetOf(w), &c.out); err != nil {
			return c.refusal(err)
		}
		return c.outcome()
	}
	switch list[0] {
	case "limits": // of a Session that begins here
		c.limits.Inflight = int(w.number("inflight", int64(c.limits.Inflight)))
		c.limits.ReceiveMaximum = uint16(w.number("receive", int64(c.limits.ReceiveMaximum)))
		c.limits.QueueMessages = int(w.number("queue", 0))
		c.limits.QueueBytes = int(w.number("bytes", 0))
		c.limits.DropOldest = w.has("drop-oldest")
		c.limits.Subscriptions = int(w.number("subscriptions", 0))
		c.limits.TopicAliasMaximum = uint16(w.number("aliases", 0))
		c.session = New(&c.limits)
		return ""
	case "time":
		c.now = c.now.Add(time.Duration(w.number("seconds", 0)) * time.Second)
		return ""
	case "open":
		s.Open(c.options(w))
		return c.status()
	case "resume":
		s.Resume(&c.out)
		return c.outcome() + c.status()
	case "close":
		will, delay := s.Close()
		outcome := "no Will Message\n"
		if will != nil {
			outcome = fmt.Sprintf("Will Message %s %q after %d s\n", will.Topic, will.Payload, delay)
		}
		return outcome + c.lifetime()
	case "published":
		s.Published(w.id(), colibri.QoS(w.number("qos", 1)), colibri.ReasonCode(w.number("code", 0)), strings.ReplaceAll(w.text("reason"), "_", " "), &c.out)
	case "deliver":
		verdict := s.Deliver(c.now, c.delivery(w), !w.has("no-room"), &c.out)
		return verdictWords[verdict] + "\n" + c.outcome() + c.status()
	case "pump":
		limit := int(parseNumber(c.t, list[1]))
		more := s.Pump(c.now, limit, &c.out)
		for s.WantsRetained() && len(c.out.Replies) < limit { // the broker looks them up and goes on
			c.supply()
			more = s.Pump(c.now, limit-len(c.out.Replies), &c.out)
		}
		c.supply()
		outcome := c.outcome()
		if more {
			outcome += "there is more\n"
		}
		return outcome + c.status()
	case "discard":
		s.Discard(w.id())
		return c.status()
	case "grant":
		granted, existed, ok := s.Grant(c.subscription(list[1]))
		if !ok {
			return "refused\n"
		}
		return fmt.Sprintf("%s%s\n", map[bool]string{true: "replaced by ", false: "added "}[existed], describe(granted))
	case "revoke":
		return map[bool]string{true: "removed\n", false: "there was none\n"}[s.Revoke(list[1])]
	case "shares":
		return strings.Join(append(s.Shares(), ""), "\n")
	case "give-back":
		var b strings.Builder
		for _, d := range s.GiveBack(list[1], w.has("sent")) {
			fmt.Fprintf(&b, "%s\n", c.messageText(d.Message, d.QoS, d.Retain))
		}
		return b.String() + c.status()
	case "ready":
		return map[bool]string{true: "ready\n", false: "not ready\n"}[s.Ready()]
	case "subscriptions":
		var b strings.Builder
		for _, sub := range s.Subscriptions() {
			b.WriteString(describe(sub) + "\n")
		}
		return b.String()
	case "subscribed":
		s.Subscribed(w.id(), c.codes(w.from(2)), "", &c.out)
	case "unsubscribed":
		s.Unsubscribed(w.id(), c.codes(w.from(2)), "", &c.out)
	case "retain": // what the broker holds, beside the Session
		if m := c.message(w); len(m.Payload) > 0 {
			c.retained[m.Topic] = m
		} else {
			delete(c.retained, m.Topic)
		}
		return ""
	case "send-retained":
		s.AddRetained(c.subscription(list[1]))
		c.supply()
		return c.status()
	default:
		c.t.Fatalf("%q: no such call", list)
	}
	return c.outcome()
}

var verdictWords = map[Verdict]string{Sent: "sent", Queued: "queued", QueueFull: "dropped: the queue is full",
	Offline: "dropped: QoS 0 and not connected"}

func (c *scene) options(w words) Options {
	o := Options{Version: colibri.V5, ExpiryInterval: uint32(w.number("expiry", 0)),
		ReceiveMaximum: uint16(w.number("receive", 65_535)), WillDelay: uint32(w.number("delay", 0))}
	if w.has("3.1.1") {
		o.Version = colibri.V311
	}
	o.NoReasons = w.has("no-reasons")
	if will, ok := w.value("will"); ok {
		o.Will = &colibri.Message{Topic: "will", Payload: []byte(will)}
	}
	return o
}

func (c *scene) delivery(w words) colibri.Delivery {
	m := c.message(w)
	d := colibri.Delivery{Message: m, QoS: m.QoS, Retain: m.Retain, Share: w.text("share")}
	for _, id := range strings.Split(w.text("ids"), ",") {
		if id != "" {
			d.Identifiers = append(d.Identifiers, uint32(parseNumber(c.t, id)))
		}
	}
	return d
}

// supply looks up what the Session asks for, as the broker does.
func (c *scene) supply() {
	for filter, ok := c.session.WantRetained(); ok; filter, ok = c.session.WantRetained() {
		c.session.SupplyRetained(filter, c.retainedFor(filter), func(topic string) *colibri.Message { return c.retained[topic] })
	}
}

func (c *scene) retainedFor(word string) (messages []*colibri.Message) {
	filter := c.subscription(word).Filter
	for _, name := range sortedKeys(c.retained) {
		if topic.Match(filter, name) {
			messages = append(messages, c.retained[name])
		}
	}
	return messages
}

func sortedKeys(m map[string]*colibri.Message) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (c *scene) codes(list []string) (codes []colibri.ReasonCode) {
	for _, word := range list {
		codes = append(codes, colibri.ReasonCode(parseNumber(c.t, word)))
	}
	return codes
}

// packetOf makes the packet that a line in capitals stands for: its Packet Identifier
// comes first, where it has one.
func (c *scene) packetOf(w words) packet.Packet {
	code := colibri.ReasonCode(w.number("code", 0))
	switch w.list[0] {
	case "PUBLISH":
		return c.publishOf(w)
	case "PUBACK":
		return &packet.Puback{PacketID: w.id(), Code: code}
	case "PUBREC":
		return &packet.Pubrec{PacketID: w.id(), Code: code}
	case "PUBREL":
		return &packet.Pubrel{PacketID: w.id(), Code: code}
	case "PUBCOMP":
		return &packet.Pubcomp{PacketID: w.id(), Code: code}
	case "SUBSCRIBE":
		p := &packet.Subscribe{PacketID: w.id()}
		for _, word := range w.from(2) {
			p.Subscriptions = append(p.Subscriptions, c.subscription(word))
		}
		return p
	case "UNSUBSCRIBE":
		p := &packet.Unsubscribe{PacketID: w.id()}
		for _, word := range w.from(2) {
			p.Filters = append(p.Filters, unquote(word))
		}
		return p
	case "DISCONNECT":
		p := &packet.Disconnect{Code: code}
		if _, ok := w.value("expiry"); ok {
			p.Properties = p.Properties.AppendNumber(colibri.SessionExpiryInterval, uint32(w.number("expiry", 0)))
		}
		return p
	case "CONNECT":
		return &packet.Connect{}
	case "CONNACK":
		return &packet.Connack{}
	case "SUBACK":
		return &packet.Suback{}
	case "UNSUBACK":
		return &packet.Unsuback{}
	case "PINGREQ":
		return &packet.Pingreq{}
	case "PINGRESP":
		return &packet.Pingresp{}
	case "AUTH":
		return &packet.Auth{}
	}
	c.t.Fatalf("%q: no such packet", w.list)
	return nil
}

// publishOf is PUBLISH TOPIC PAYLOAD with id=, qos=, dup, retain, alias=, expiry=,
// subscription=, user=.
func (c *scene) publishOf(w words) packet.Packet {
	m := c.message(w)
	p := &packet.Publish{Topic: unquote(m.Topic), Payload: m.Payload, QoS: m.QoS, Retain: m.Retain,
		Dup: w.has("dup"), PacketID: uint16(w.number("id", 0))}
	for name, id := range map[string]colibri.PropertyID{"alias": colibri.TopicAlias,
		"expiry": colibri.MessageExpiryInterval, "subscription": colibri.SubscriptionIdentifier} {
		if _, ok := w.value(name); ok {
			p.Properties = p.Properties.AppendNumber(id, uint32(w.number(name, 0)))
		}
	}
	if value, ok := w.value("user"); ok {
		p.Properties = p.Properties.AppendUser("user", value)
	}
	return p
}

// refusal describes the error that ends the Network Connection.
func (c *scene) refusal(err error) string {
	if wrong, ok := errors.AsType[*colibri.Error](err); !ok || !wrong.Code.Failed() {
		c.t.Errorf("Receive: got error %v, want a *colibri.Error with a code of 0x80 or more", err)
	}
	return "closed: " + err.Error() + "\n"
}

// outcome describes the request and the replies of a step.
func (c *scene) outcome() string {
	var b strings.Builder
	switch r := &c.out.Request; r.Kind {
	case Publish:
		fmt.Fprintf(&b, "request: publish %s\n", c.messageText(&r.Message, r.Message.QoS, r.Message.Retain))
	case Subscribe:
		for _, sub := range r.Subscriptions {
			b.WriteString("request: subscribe " + describe(sub) + "\n")
		}
	case Unsubscribe:
		fmt.Fprintf(&b, "request: unsubscribe %s\n", strings.Join(r.Filters, " "))
	case Disconnect:
		fmt.Fprintf(&b, "request: disconnect 0x%02X\n", byte(r.Code))
	}
	for i := range c.out.Replies {
		b.WriteString(c.reply(&c.out.Replies[i]) + "\n")
	}
	for _, count := range []struct {
		n    int
		what string
	}{{c.out.Expired, "expired"}, {c.out.Replaced, "replaced"}, {c.out.Refused, "refused by the client"}} {
		if count.n > 0 {
			fmt.Fprintf(&b, "%d %s\n", count.n, count.what)
		}
	}
	return b.String()
}

func (c *scene) reply(r *Reply) string {
	line := r.Type.String()
	if r.PacketID != 0 {
		line += fmt.Sprintf(" %d", r.PacketID)
	}
	if r.Dup {
		line += " DUP"
	}
	if r.Code != 0 {
		line += " " + r.Code.Error()
	}
	if r.Reason != "" {
		line += ": " + r.Reason
	}
	switch p := r.Packet.(type) {
	case *packet.Suback:
		line += codesText(r.PacketID, p.PacketID, p.Codes)
	case *packet.Unsuback:
		line += codesText(r.PacketID, p.PacketID, p.Codes)
	}
	if d := r.Delivery; d != nil {
		line += " " + c.messageText(d.Message, d.QoS, d.Retain)
		if d.Identifiers != nil {
			line += fmt.Sprintf(" Subscription Identifiers %d", d.Identifiers)
		}
	}
	return line
}

func codesText(reply, inPacket uint16, codes []colibri.ReasonCode) (text string) {
	if reply != inPacket {
		text = fmt.Sprintf(" but %d in the packet", inPacket)
	}
	for _, code := range codes {
		text += fmt.Sprintf(" 0x%02X", byte(code))
	}
	return text
}

func (c *scene) messageText(m *colibri.Message, qos colibri.QoS, retain bool) string {
	text := fmt.Sprintf("%s %q %s", m.Topic, m.Payload, qos)
	if retain {
		text += " RETAIN"
	}
	if m.Expires != 0 {
		text += fmt.Sprintf(" expires in %d s", (m.Expires-c.now.UnixNano())/int64(time.Second))
	}
	for _, p := range m.Properties {
		if p.ID != colibri.MessageExpiryInterval {
			text += fmt.Sprintf(" %s %d %s=%s", p.ID, p.Number, p.Name, p.Value)
		}
	}
	return text
}

func describe(sub colibri.Subscription) string {
	text := fmt.Sprintf("%s %s", sub.Filter, sub.QoS)
	if sub.NoLocal {
		text += " No Local"
	}
	if sub.RetainAsPublished {
		text += " Retain As Published"
	}
	if sub.Identifier != 0 {
		text += fmt.Sprintf(" Subscription Identifier %d", sub.Identifier)
	}
	return text
}

// status says what the Session still owes the client.
func (c *scene) status() string {
	text := fmt.Sprintf("%d in flight, %d queued", c.session.Inflight(), c.session.Queued())
	if c.session.retained.length() > 0 {
		text += ", Retained Messages wait"
	}
	return text + "\n"
}

// lifetime says how long the Session outlives its Network Connection.
func (c *scene) lifetime() string {
	interval := c.session.ExpiryInterval()
	if c.session.Durable() != (interval > 0) {
		c.t.Errorf("Durable: got %v with an interval of %d s", c.session.Durable(), interval)
	}
	switch interval {
	case 0:
		return "the Session ends\n"
	case NeverExpires:
		return "the Session never ends\n"
	}
	return fmt.Sprintf("the Session ends after %d s\n", interval)
}
