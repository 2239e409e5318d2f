package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// FuzzSession reads its input as steps: packets of the client, deliveries and
// reconnections in any order. A peer that keeps its own books beside the Session
// checks what must hold whatever happens.
func FuzzSession(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 1, 1, 3, 0, 0, 0, 7, 9, 7, 10, 8, 1, 0, 1, 2, 0, 2, 3, 0, 5, 0, 0, 1, 0, 1, 2, 9})
	f.Fuzz(func(t *testing.T, input []byte) {
		p := newPeer(t, input)
		for len(p.input) > 0 {
			p.step()
			p.check()
		}
	})
}

// peer plays the client and the broker of one Session.
type peer struct {
	t       *testing.T
	input   []byte
	session Session
	limits  Limits
	now     time.Time
	out     Output

	connected bool
	version   colibri.Version
	window    int
	messages  [3]uint32          // sent so far, by publisher
	lastSent  [3]uint32          // number of the last QoS 1 or 2 message that went out, by publisher
	queue     []colibri.Delivery // what must be waiting
	flying    []flight           // PUBLISH packets without an end, in the order of their first sending
	resent    int                // order of the last that was sent again on this connection
	order     int

	held     map[uint16]bool // QoS 2 identifiers of ours between PUBLISH and PUBREL; true if of this connection
	asked    []packet.Publish
	retained [2]*colibri.Message
}

// flight is one PUBLISH to the client.
type flight struct {
	id       uint16
	qos      colibri.QoS
	order    int
	delivery colibri.Delivery
	released bool // PUBREL was sent
	sent     bool // on this connection
}

func newPeer(t *testing.T, input []byte) *peer {
	p := &peer{t: t, input: input, now: time.Unix(1_000_000_000, 0), held: map[uint16]bool{}}
	p.limits = Limits{Inflight: 1 + p.number(6), ReceiveMaximum: uint16(1 + p.number(4)),
		QueueMessages: p.number(8), QueueBytes: 8 * p.number(10), DropOldest: p.number(3) == 0, Subscriptions: 2, TopicAliasMaximum: 2}
	p.session = New(&p.limits)
	return p
}

// number takes a number below n from the input, 0 at its end.
func (p *peer) number(n int) int {
	if len(p.input) == 0 {
		return 0
	}
	b := p.input[0]
	p.input = p.input[1:]
	return int(b) % n
}

func (p *peer) step() {
	p.out.Reset()
	switch what := p.number(17); {
	case what == 0:
		p.close()
		p.open()
	case what == 1:
		p.close()
	case what <= 5:
		p.deliver()
	case what == 6:
		p.pump(1 + p.number(4))
	case what == 7:
		p.resume()
	case what == 8:
		p.now = p.now.Add(time.Duration(p.number(3)) * time.Second)
	case what == 9:
		p.retain()
	case what == 10:
		p.published()
	case what == 11:
		p.discard()
	case what == 16:
		p.giveBack()
	default:
		p.receive()
	}
}

func (p *peer) close() {
	p.session.Close()
	p.connected = false
	p.asked = nil // the broker answers none of them any more
}

func (p *peer) open() {
	p.version = []colibri.Version{colibri.V5, colibri.V311}[p.number(2)]
	receiveMaximum := uint16(1 + p.number(5))
	p.session.Open(Options{Version: p.version, ReceiveMaximum: receiveMaximum, ExpiryInterval: uint32(p.number(2)) * NeverExpires})
	p.connected = true
	p.window = min(p.limits.Inflight, int(receiveMaximum))
	p.resent = -1
	for i := range p.flying {
		p.flying[i].sent = false
	}
	for id := range p.held {
		p.held[id] = false
	}
}

func (p *peer) deliver() {
	publisher := p.number(3)
	d := colibri.Delivery{QoS: colibri.QoS(p.number(3)), Share: fuzzShares[publisher]}
	p.messages[publisher]++
	d.Message = &colibri.Message{Topic: "t", QoS: d.QoS,
		Payload: binary.BigEndian.AppendUint32([]byte{byte(publisher)}, p.messages[publisher])}
	if p.number(3) == 0 {
		d.Message.Expires = p.now.Add(time.Second).UnixNano()
	}
	room := p.number(4) > 0
	full := func() bool {
		return p.limits.QueueMessages > 0 && len(p.queue) >= p.limits.QueueMessages ||
			p.limits.QueueBytes > 0 && p.queueBytes()+len(d.Message.Topic)+len(d.Message.Payload) > p.limits.QueueBytes
	}
	expired, replaced := 0, 0
	want := Queued
	switch {
	case d.QoS == 0 && !p.connected:
		want = Offline
	case d.QoS == 0, p.connected && room && len(p.queue) == 0 && p.free() > 0:
		want = Sent
	default:
		if full() {
			before := len(p.queue)
			p.queue = slices.DeleteFunc(p.queue, func(d colibri.Delivery) bool { return d.Message.Expired(p.now) })
			expired = before - len(p.queue)
		}
		fits := p.limits.QueueBytes == 0 || len(d.Message.Topic)+len(d.Message.Payload) <= p.limits.QueueBytes
		for p.limits.DropOldest && fits && full() && len(p.queue) > 0 {
			p.queue = p.queue[1:]
			replaced++
		}
		if full() {
			want = QueueFull
		} else {
			p.queue = append(p.queue, d)
		}
	}
	takes := d.QoS == 0 || !room || p.session.Takes(p.now, d)
	if foreseen, gone := p.session.Foresee(p.now, d, room); foreseen != want || gone != replaced {
		p.t.Fatalf("Foresee: got %q, %d replaced, want %q, %d", verdictWords[foreseen], gone, verdictWords[want], replaced)
	}
	if got := p.session.Deliver(p.now, d, room, &p.out); got != want || p.out.Expired != expired || p.out.Replaced != replaced {
		p.t.Fatalf("Deliver: got %q, %d expired, %d replaced, want %q, %d, %d", verdictWords[got], p.out.Expired, p.out.Replaced,
			verdictWords[want], expired, replaced)
	}
	if !takes && want != QueueFull {
		p.t.Fatalf("Takes: got false for a message that was %q", verdictWords[want])
	}
	switch n := len(p.out.Replies); {
	case want != Sent:
		p.noReplies("Deliver that does not send")
	case n != 1:
		p.t.Fatalf("Deliver that sends: got %d replies, want 1", n)
	default:
		p.goesOut(&p.out.Replies[0], d)
	}
}

func (p *peer) queueBytes() (n int) {
	for i := range p.queue {
		n += len(p.queue[i].Message.Topic) + len(p.queue[i].Message.Payload)
	}
	return n
}

// free is the room in the window for new messages: none while old ones are to be sent
// again.
func (p *peer) free() int {
	for i := range p.flying {
		if !p.flying[i].sent {
			return 0
		}
	}
	return p.window - len(p.flying)
}

// goesOut checks a PUBLISH that is sent for the first time and holds d.
func (p *peer) goesOut(r *Reply, d colibri.Delivery) {
	if r.Type != packet.PUBLISH || r.Dup || r.Delivery.Message != d.Message || r.Delivery.QoS != d.QoS {
		p.t.Fatalf("got %v DUP %v %q %v, want the PUBLISH of %q %v", r.Type, r.Dup, r.Delivery.Message.Payload, r.Delivery.QoS, d.Message.Payload, d.QoS)
	}
	if d.QoS == 0 {
		if r.PacketID != 0 {
			p.t.Fatalf("QoS 0 with Packet Identifier %d", r.PacketID)
		}
		return
	}
	if p.free() <= 0 {
		p.t.Fatalf("a new PUBLISH while %d are under way and the window is %d", len(p.flying), p.window)
	}
	if r.PacketID == 0 || p.find(r.PacketID) >= 0 {
		p.t.Fatalf("a new PUBLISH has Packet Identifier %d, which is zero or in use", r.PacketID)
	}
	if d.Message.Topic == "t" {
		publisher, number := d.Message.Payload[0], binary.BigEndian.Uint32(d.Message.Payload[1:])
		if last := p.lastSent[publisher]; number <= last {
			p.t.Fatalf("message %d of publisher %d goes out after its message %d", number, publisher, last)
		}
		p.lastSent[publisher] = number
	}
	p.order++
	p.flying = append(p.flying, flight{id: r.PacketID, qos: d.QoS, order: p.order, delivery: d, sent: true})
}

func (p *peer) find(id uint16) int {
	return slices.IndexFunc(p.flying, func(f flight) bool { return f.id == id })
}

func (p *peer) pump(limit int) {
	more := p.session.Pump(p.now, limit, &p.out)
	expired := p.out.Expired
	if !p.connected {
		if expired > 0 || more {
			p.t.Fatalf("Pump without a connection: got %d, %v", expired, more)
		}
		p.noReplies("Pump without a connection")
		return
	}
	if got := expired + len(p.out.Replies); got > limit || more && got < limit {
		p.t.Fatalf("Pump(%d): %d expired and %d sent, more is %v", limit, expired, len(p.out.Replies), more)
	}
	skip := func(all bool) {
		for len(p.queue) > 0 && expired > 0 && (all || p.queue[0].Message.Expired(p.now)) {
			if !p.queue[0].Message.Expired(p.now) {
				p.t.Fatalf("Pump dropped %q, which has not expired", p.queue[0].Message.Payload)
			}
			p.queue = p.queue[1:]
			expired--
		}
	}
	for i := range p.out.Replies {
		r := &p.out.Replies[i]
		if skip(false); r.Delivery.Retain {
			p.sentRetained(r)
			continue
		}
		if len(p.queue) == 0 {
			p.t.Fatalf("Pump sent %q, which was not waiting", r.Delivery.Message.Payload)
		}
		p.goesOut(r, p.queue[0])
		p.queue = p.queue[1:]
	}
	skip(true)
	if expired > 0 {
		p.t.Fatalf("Pump counted %d more expired messages than there were", expired)
	}
	if waits := p.session.Waiting(); more && !waits {
		p.t.Fatal("Pump says that there is more, and Waiting that there is not")
	}
	if len(p.queue) > 0 && !more && p.free() > 0 {
		p.t.Fatalf("Pump stopped with %d queued and room for %d", len(p.queue), p.free())
	}
}

// sentRetained checks a Retained Message: it goes out only while it is what is retained
// for its topic.
func (p *peer) sentRetained(r *Reply) {
	d := *r.Delivery
	if d.Message != p.current(d.Message.Topic) || d.Message.Expired(p.now) {
		p.t.Fatalf("%q is sent as Retained Message of %s, which it is no more", d.Message.Payload, d.Message.Topic)
	}
	p.goesOut(r, d)
}

func (p *peer) current(topic string) *colibri.Message { return p.retained[topic[1]-'0'] }

func (p *peer) retain() {
	switch i := p.number(4); i {
	case 0, 1:
		p.retained[i] = &colibri.Message{Topic: "r" + string(rune('0'+i)), Payload: []byte("retained"),
			QoS: colibri.QoS(p.number(3)), Expires: p.now.Add(2 * time.Second).UnixNano()}
	default:
		if !p.connected { // nobody subscribes
			return
		}
		p.session.AddRetained(colibri.Subscription{Filter: "+", QoS: colibri.QoS(p.number(3))})
		filter, ok := p.session.WantRetained()
		if _, again := p.session.WantRetained(); !ok || again {
			p.t.Fatalf("WantRetained: got %v, then %v, want to be asked once", ok, again)
		}
		var messages []*colibri.Message
		for _, m := range p.retained {
			if m != nil {
				messages = append(messages, m)
			}
		}
		p.session.SupplyRetained(filter, messages, p.current)
		p.noReplies("AddRetained")
	}
}

func (p *peer) resume() {
	if !p.connected {
		return
	}
	p.session.Resume(&p.out)
	for i := range p.out.Replies {
		r := &p.out.Replies[i]
		at := p.find(r.PacketID)
		if at < 0 {
			p.t.Fatalf("Resume sends %v %d, which is not under way", r.Type, r.PacketID)
		}
		f := &p.flying[at]
		if f.sent || f.order <= p.resent {
			p.t.Fatalf("Resume sends %v %d twice or out of order", r.Type, r.PacketID)
		}
		if want := r.Type == packet.PUBREL; f.released != want || r.Dup == want {
			p.t.Fatalf("Resume sends %v %d with DUP %v; its PUBREL was sent: %v", r.Type, r.PacketID, r.Dup, f.released)
		}
		f.sent, p.resent = true, f.order
	}
}

// published answers a request of the client to publish.
func (p *peer) published() {
	if len(p.asked) == 0 {
		return
	}
	request := p.asked[0]
	p.asked = p.asked[1:]
	code := []colibri.ReasonCode{colibri.Success, colibri.QuotaExceeded}[p.number(2)]
	p.session.Published(request.PacketID, request.QoS, code, "", &p.out)
	want := packet.PUBACK
	if request.QoS == colibri.ExactlyOnce {
		want = packet.PUBREC
		if code.Failed() && p.version == colibri.V5 {
			delete(p.held, request.PacketID)
		}
	}
	p.oneReply("Published", want, request.PacketID)
}

func (p *peer) discard() {
	id := uint16(1 + p.number(12))
	p.session.Discard(id)
	p.end(id)
}

// fuzzShares are the Shared Subscriptions through which the publishers' messages come.
var fuzzShares = [3]string{"", "$share/g/t", "$share/h/t"}

// giveBack takes back what came through one Shared Subscription: never a QoS 2 message that
// was sent [MQTT-4.8.2-5], and while the client is connected nothing that was sent.
func (p *peer) giveBack() {
	share := fuzzShares[1+p.number(2)]
	sent := !p.connected && p.number(2) == 0
	var want []*colibri.Message
	p.flying = slices.DeleteFunc(p.flying, func(f flight) bool {
		gone := sent && f.qos == colibri.AtLeastOnce && f.delivery.Share == share
		if gone {
			want = append(want, f.delivery.Message)
		}
		return gone
	})
	p.queue = slices.DeleteFunc(p.queue, func(d colibri.Delivery) bool {
		if d.Share == share {
			want = append(want, d.Message)
		}
		return d.Share == share
	})
	var got []*colibri.Message
	for _, d := range p.session.GiveBack(share, sent) {
		if d.Share != share {
			p.t.Fatalf("GiveBack of %s: got a message of %q", share, d.Share)
		}
		got = append(got, d.Message)
	}
	if !slices.Equal(got, want) {
		p.t.Fatalf("GiveBack of %s, sent %v: got %d messages, want %d, or not in their order", share, sent, len(got), len(want))
	}
	if left := p.session.Shares(); sent && slices.Contains(left, share) {
		p.t.Fatalf("Shares after GiveBack: got %q", left)
	}
}

func (p *peer) end(id uint16) {
	if at := p.find(id); at >= 0 {
		p.flying = slices.Delete(p.flying, at, at+1)
	}
}

// receive hands the Session a packet of the client; after an error the connection is
// closed.
func (p *peer) receive() {
	if !p.connected {
		return
	}
	id := uint16(1 + p.number(12))
	var in packet.Packet
	switch p.number(6) {
	case 0, 1:
		p.publish(id)
		return
	case 2:
		in = &packet.Puback{PacketID: id}
	case 3:
		in = &packet.Pubrec{PacketID: id, Code: []colibri.ReasonCode{0, 0, 0, colibri.QuotaExceeded}[p.number(4)]}
	case 4:
		in = &packet.Pubcomp{PacketID: id}
	default:
		in = &packet.Pubrel{PacketID: id}
	}
	at, known := p.find(id), false
	var f flight
	if at >= 0 {
		f, known = p.flying[at], true
	}
	err := p.session.Receive(p.now, in, &p.out)
	fits := !known
	switch in := in.(type) {
	case *packet.Puback:
		fits = fits || f.qos == colibri.AtLeastOnce
		p.noReplies("PUBACK")
	case *packet.Pubrec:
		if fits = fits || f.qos == colibri.ExactlyOnce; fits && !(known && in.Code.Failed()) {
			p.oneReply("PUBREC", packet.PUBREL, id)
			if known {
				p.flying[at].released, p.flying[at].sent = true, true
			}
			return
		}
	case *packet.Pubcomp:
		fits = fits || f.released
	case *packet.Pubrel:
		delete(p.held, id)
		p.oneReply("PUBREL", packet.PUBCOMP, id)
		return
	}
	if (err == nil) != fits {
		p.t.Fatalf("%v %d for %+v, which is there: %v: got error %v", in.Type(), id, f, known, err)
	}
	p.refused(err)
	if err == nil && known {
		p.end(id)
	}
}

func (p *peer) publish(id uint16) {
	in := &packet.Publish{Topic: "t", QoS: colibri.QoS(p.number(3)), Dup: p.number(2) == 1}
	if in.QoS > 0 {
		in.PacketID = id
	}
	switch p.number(4) {
	case 1:
		in.Properties = in.Properties.AppendNumber(colibri.TopicAlias, uint32(p.number(4)))
	case 2:
		in.Properties = in.Properties.AppendNumber(colibri.TopicAlias, uint32(p.number(4)))
		in.Topic = ""
	}
	_, held := p.held[id]
	err := p.session.Receive(p.now, in, &p.out)
	asks := p.out.Request.Kind == Publish
	switch {
	case err != nil:
		p.refused(err)
	case in.QoS == colibri.ExactlyOnce && held:
		if asks {
			p.t.Fatalf("the QoS 2 message %d was asked for twice", id)
		}
		p.oneReply("a repeated PUBLISH", packet.PUBREC, id)
		p.held[id] = true
	case !asks:
		p.t.Fatalf("PUBLISH %d %v: the broker was not asked", id, in.QoS)
	default:
		p.noReplies("PUBLISH")
		if in.QoS == colibri.ExactlyOnce {
			p.held[id] = true
		}
		if in.QoS > 0 {
			p.asked = append(p.asked, *in)
		}
	}
}

// refused ends the connection, as the broker does.
func (p *peer) refused(err error) {
	if err == nil {
		return
	}
	if wrong, ok := errors.AsType[*colibri.Error](err); !ok || !wrong.Code.Failed() {
		p.t.Fatalf("got error %v, want a *colibri.Error with a code of 0x80 or more", err)
	}
	p.noReplies("an error")
	p.close()
}

func (p *peer) noReplies(of string) {
	if n := len(p.out.Replies); n > 0 {
		p.t.Fatalf("%s: got %d replies, the first %v, want none", of, n, p.out.Replies[0].Type)
	}
}

func (p *peer) oneReply(of string, want packet.Type, id uint16) {
	if r := p.out.Replies; len(r) != 1 || r[0].Type != want || r[0].PacketID != id {
		p.t.Fatalf("%s: got replies %+v, want %v %d", of, r, want, id)
	}
}

// check compares the books after each step.
func (p *peer) check() {
	s := &p.session
	if got, want := s.Queued(), len(p.queue); got != want {
		p.t.Fatalf("Queued: got %d, want %d", got, want)
	}
	if p.limits.QueueMessages > 0 && s.Queued() > p.limits.QueueMessages {
		p.t.Fatalf("%d messages queued, the limit is %d", s.Queued(), p.limits.QueueMessages)
	}
	if got, want := s.queue.bytes, p.queueBytes(); got != want || p.limits.QueueBytes > 0 && got > p.limits.QueueBytes {
		p.t.Fatalf("bytes queued: got %d, want %d and at most %d", got, want, p.limits.QueueBytes)
	}
	payload := 0
	for i := range p.queue {
		payload += len(p.queue[i].Message.Payload)
	}
	if got := s.QueuedPayload(); got != payload {
		p.t.Fatalf("QueuedPayload: got %d, want %d", got, payload)
	}
	for i := range p.queue {
		if got := s.queue.items[s.queue.head+i].Message.Payload; !bytes.Equal(got, p.queue[i].Message.Payload) {
			p.t.Fatalf("queue position %d: got %q, want %q", i, got, p.queue[i].Message.Payload)
		}
	}
	if got, want := s.Inflight(), len(p.flying); got != want {
		p.t.Fatalf("Inflight: got %d, want %d", got, want)
	}
	sent := 0 // PUBLISH packets of this connection that the client has not answered for good
	for _, f := range p.flying {
		if f.sent && !f.released {
			sent++
		}
	}
	if p.connected && sent > p.window {
		p.t.Fatalf("%d PUBLISH packets under way, the window is %d", sent, p.window)
	}
	if len(p.queue) > 0 && !s.Waiting() {
		p.t.Fatal("Waiting: got false while something is queued")
	}
	if s.receiving.Len() != len(p.held) {
		p.t.Fatalf("QoS 2 identifiers held: got %d, want %d", s.receiving.Len(), len(p.held))
	}
	if p.version == colibri.V5 && s.receiving.Open() > int(p.limits.ReceiveMaximum) {
		p.t.Fatalf("%d messages of the client are open, our Receive Maximum is %d", s.receiving.Open(), p.limits.ReceiveMaximum)
	}
}
