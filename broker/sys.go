package broker

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// sysTree publishes the topics under $SYS/broker/, which say how the broker does. Names
// and values are those of Mosquitto, so that what watches a Mosquitto watches us; what is
// ours alone is $SYS/broker/publish/dropped/<reason>, the same for single clients, how
// often a limit was reached in $SYS/broker/limit/<limit>, something was denied in
// $SYS/broker/denied/<action>, and a handshake has failed in
// $SYS/broker/handshake/failed/<handshake>. The messages are retained, have QoS 2, and go the way of all others. One goroutine owns a
// sysTree.
//
// Of Mosquitto's topics connection/<id>/state is missing, which bridges write. log/<level>
// holds lines: whoever writes the log publishes them, as whoever has listeners does with
// listeners/<port>/certificate/days.
type sysTree struct {
	broker   *Broker
	interval time.Duration
	version  string
	others   func(say func(topic string, n int64)) // Config.SysNumbers
	started  time.Time
	updated  time.Time         // the last update
	texts    map[string]string // what each topic says, without $SYS/broker/
	loads    [sysLoads]sysLoad
	clients  []*liveSession // that have topics of their own, the most recent drop last
}

// newSysTree returns the tree of b and publishes it for the first time.
func newSysTree(b *Broker, config *Config) *sysTree {
	version := config.Version
	if version == "" {
		version = "colibri"
	}
	now := time.Now()
	t := &sysTree{broker: b, interval: config.SysInterval, version: version, others: config.SysNumbers, started: now, updated: now, texts: make(map[string]string)}
	t.update(now)
	t.update(now) // with what the first one has stored
	return t
}

// run updates the tree when the time is a multiple of the interval, until Shutdown.
func (t *sysTree) run() {
	defer t.broker.running.Done()
	timer := time.NewTimer(t.untilNext(time.Now()))
	defer timer.Stop()
	for {
		select {
		case <-t.broker.lifetime.Done():
			return
		case <-timer.C:
			now := time.Now()
			t.update(now)
			wait := t.untilNext(now)
			if wait < t.interval/2 { // the timer was early
				wait += t.interval
			}
			timer.Reset(wait)
		}
	}
}

// untilNext returns how long it is to the next multiple of the interval since 1970.
func (t *sysTree) untilNext(now time.Time) time.Duration {
	return t.interval - time.Duration(now.UnixNano()%int64(t.interval))
}

// update publishes what has changed.
func (t *sysTree) update(now time.Time) {
	stats := t.broker.Stats()
	defer t.broker.decisions.end(t.broker.decisions.begin())
	batch := t.broker.takeBatch()
	defer batch.giveBack()
	batch.now, batch.own = now, true
	publish := func(topic, text string) {
		batch.publish(nil, &colibri.Message{Topic: "$SYS/broker/" + topic, Payload: []byte(text), QoS: colibri.ExactlyOnce, Retain: true})
	}
	say := func(topic, text string) {
		if t.texts[topic] != text {
			t.texts[topic] = text
			publish(topic, text)
		}
	}
	unsay := func(topic string) {
		if t.texts[topic] != "" {
			delete(t.texts, topic)
			publish(topic, "")
		}
	}
	say("version", t.version)
	say("uptime", strconv.Itoa(int(now.Sub(t.started)/time.Second))+" seconds")
	sayNumber := func(topic string, n int64) { say(topic, strconv.FormatInt(n, 10)) }
	sayNumbers(&stats, sayNumber)
	if t.others != nil {
		t.others(sayNumber)
	}
	t.sayLoads(&stats, now, say)
	t.updateClients(say, unsay)
	t.updated = now
	batch.own = false
	batch.recordAndReply()
}

// sayNumbers says all topics whose value is one number of s.
func sayNumbers(s *Stats, say func(topic string, n int64)) {
	offline := int64(max(0, s.Sessions-s.Connections))
	say("clients/total", int64(s.Sessions))
	say("clients/connected", int64(s.Connections))
	say("clients/active", int64(s.Connections))
	say("clients/disconnected", offline)
	say("clients/inactive", offline)
	say("clients/maximum", int64(s.ConnectionsMaximum))
	say("clients/expired", s.SessionsExpired)
	say("connections/socket/count", s.Opened)
	say("subscriptions/count", int64(s.Subscriptions))
	say("shared_subscriptions/count", int64(s.SharedSubscriptions))

	retained := int64(s.Retained + s.RetainedSys) // Mosquitto counts $SYS with them
	say("retained messages/count", retained)
	say("messages/stored", retained+s.Queued)
	say("store/messages/count", retained+s.Queued)
	say("store/messages/bytes", s.StoredBytes)
	say("packet/out/count", s.Outgoing)
	say("packet/out/bytes", s.OutgoingBytes)
	say("heap/current", s.HeapBytes)
	say("heap/maximum", s.HeapMaximum)

	say("messages/received", s.Received.All())
	say("messages/sent", s.Sent.All())
	say("bytes/received", s.Received.Bytes)
	say("bytes/sent", s.Sent.Bytes)
	say("publish/messages/received", s.PublishReceived)
	say("publish/messages/sent", s.PublishSent)
	say("publish/messages/dropped", s.droppedAll())
	say("publish/bytes/received", s.Received.PayloadBytes)
	say("publish/bytes/sent", s.Sent.PayloadBytes)
	for kind := packet.CONNECT; kind <= packet.AUTH; kind++ {
		name := "mqtt/" + strings.ToLower(kind.String())
		say(name+"/received", s.Received.Packets[kind])
		say(name+"/sent", s.Sent.Packets[kind])
	}
	say("mqtt/publish/dropped", s.droppedAll())
	for reason := range dropReasons {
		say("publish/dropped/"+sysLevel(reason.String()), s.Dropped[reason])
	}
	for action, n := range s.Denied {
		say("denied/"+action.String(), n)
	}
	for limit, n := range s.Limited { // those that were reached
		say("limit/"+sysLevel(limit.String()), n)
	}
	for handshake, n := range s.Handshakes { // those that have
		say("handshake/failed/"+sysLevel(handshake.String()), n)
	}
}

// droppedAll returns the messages dropped for all reasons.
func (s *Stats) droppedAll() (n int64) {
	for reason, dropped := range s.Dropped {
		if reason != DropWithheld { // the client has not lost what it had no right to
			n += dropped
		}
	}
	return n
}

// sysLevel makes the level of a topic of words: "queue full" is queue-full.
func sysLevel(words string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(words), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-")
}

// sysLoads is how many counters have load averages.
const sysLoads = 9

// sysLoad is a counter's moving averages: how much it grows in a minute, over each of the
// times of sysWindows.
type sysLoad struct {
	last     int64
	averages [3]float64
}

var sysWindows = [3]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}

// advance takes the counter's value after another time has passed.
func (l *sysLoad) advance(counter int64, passed time.Duration) {
	if passed <= 0 {
		return
	}
	rate := float64(counter-l.last) / passed.Minutes()
	l.last = counter
	for i, window := range sysWindows {
		l.averages[i] = rate + math.Exp(-passed.Seconds()/window.Seconds())*(l.averages[i]-rate)
	}
}

// sayLoads advances and says the load averages.
func (t *sysTree) sayLoads(s *Stats, now time.Time, say func(topic, text string)) {
	for i, load := range [sysLoads]struct {
		name    string
		counter int64
	}{
		{"connections", s.Received.Packets[packet.CONNECT]},
		{"sockets", s.Opened},
		{"bytes/received", s.Received.Bytes},
		{"bytes/sent", s.Sent.Bytes},
		{"messages/received", s.Received.All()},
		{"messages/sent", s.Sent.All()},
		{"publish/received", s.PublishReceived},
		{"publish/sent", s.PublishSent},
		{"publish/dropped", s.droppedAll()},
	} {
		t.loads[i].advance(load.counter, now.Sub(t.updated))
		for j, average := range t.loads[i].averages {
			say(fmt.Sprintf("load/%s/%dmin", load.name, int(sysWindows[j].Minutes())), strconv.FormatFloat(average, 'f', 2, 64))
		}
	}
}
