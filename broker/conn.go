package broker

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// conn is a Network Connection with an accepted CONNECT. One goroutine reads it and
// walks the road with what it read; that goroutine owns the connection and logs its
// end. Others may write to its outbox and stop it.
type conn struct {
	broker  *Broker
	nc      net.Conn
	raw     syscall.RawConn // nil when nc has no descriptor that carries MQTT as it is
	framed  *framed         // nil unless MQTT is inside another protocol on the descriptor
	session *liveSession
	client  ClientInfo
	opened  time.Time
	expires int64  // seconds since 1970; 0: never
	number  uint64 // see TracedConnection

	walking  sync.Mutex // held by the reader from the first packet of a batch to its replies
	out      outbox
	lastRead atomic.Int64 // nanoseconds since 1970
	ending   atomic.Pointer[ending]

	published, readBytes atomic.Int64 // PUBLISH packets read, and the bytes of all packets

	throttle *throttle                // nil without a limit; only the reader uses it
	firehose atomic.Pointer[firehose] // nil without a Subscription to everything
	partial  []byte                   // the beginning of a packet; only the reader uses it
	need     int                      // size of that packet once it is known; 0 before
	place    int                      // in connSet

	auth *authentication // nil when the CONNECT named no Authentication Method

	maxPacket  uint32 // the client's Maximum Packet Size; 0 without one
	keepAlive  uint16 // seconds; 0: none
	version    colibri.Version
	cleanStart bool
	deep       bool // a packet was processed that needs a large stack; only the reader uses it
}

// ending says why a connection ends. The first one counts.
type ending struct {
	code colibri.ReasonCode
	err  error // nil after the client's goodbye
}

// run reads c until it ends. It is the connection's goroutine.
func (c *conn) run() {
	again, err := c.wait()
	if again {
		go c.run()
		return
	}
	c.end(err)
}

// awaitWalk returns when the reader is not in the middle of a batch.
func (c *conn) awaitWalk() {
	c.walking.Lock()
	defer c.walking.Unlock()
}

// stop ends c from any goroutine: a 5.0 client is told why, what waits in the outbox
// goes out, and the Network Connection is closed. It does not block.
func (c *conn) stop(err error) {
	if !c.ending.CompareAndSwap(nil, &ending{disconnectCode(err), err}) {
		return
	}
	if c.version == colibri.V5 && !peerGone(err) {
		var farewell []byte
		c.out.addLast(func(b []byte) []byte {
			start := len(b)
			b = c.appendDisconnect(b, err)
			farewell = slices.Clone(b[start:])
			return b
		})
		if farewell != nil {
			c.sent(farewell, &packet.Disconnect{}, c.broker.inWords(err))
		}
	}
	c.close()
}

// abandon is stop for a connection whose answers may be wrong now if they still wait for the
// Log: they do not leave.
func (c *conn) abandon(err error) {
	if !c.out.holds() {
		c.stop(err)
		return
	}
	if c.ending.CompareAndSwap(nil, &ending{disconnectCode(err), err}) {
		c.out.shut()
		c.hangUp()
	}
}

// close closes the Network Connection once its outbox is empty.
func (c *conn) close() {
	if c.out.finish() {
		c.hangUp()
		return
	}
	c.nc.SetWriteDeadline(time.Now().Add(closeTime))
	w := writers.Get().(*writer)
	c.flush(w)
	writers.Put(w)
}

// hangUp closes the Network Connection without blocking. Where there is a descriptor,
// Close waits for its reader, who may be the caller or wait for the caller in turn.
func (c *conn) hangUp() {
	if c.raw == nil && c.framed == nil {
		c.nc.Close()
		return
	}
	go c.nc.Close()
}

func (c *conn) appendDisconnect(b []byte, err error) []byte {
	p := &packet.Disconnect{Code: disconnectCode(err)}
	p.Properties = withReference(p.Properties, err)
	if reason := reasonOf(err); reason != "" {
		p.Properties = p.Properties.AppendValue(colibri.ReasonString, reason)
	}
	start := len(b)
	b = appendPacket(b, p, c.version)
	if c.maxPacket > 0 && len(b)-start > int(c.maxPacket) { // [MQTT-3.14.2-3]
		p.Properties = nil
		b = appendPacket(b[:start], p, c.version)
	}
	c.broker.counters.sent(packet.DISCONNECT, len(b)-start)
	return b
}

// writeFailed ends c after a failed write.
func (c *conn) writeFailed(err error) {
	c.ending.CompareAndSwap(nil, &ending{colibri.UnspecifiedError, err})
	c.out.shut()
	c.hangUp()
}

// end is the last thing that the reader does: it tells the client why, leaves the
// Session, and publishes the Will Message if it is due.
func (c *conn) end(err error) {
	var bye *goodbye
	if errors.As(err, &bye) {
		c.ending.CompareAndSwap(nil, &ending{code: bye.code})
		c.close()
	} else {
		c.stop(err)
	}
	c.broker.conns.remove(c)
	c.broker.leave(c)
	c.broker.origins.GiveBack(c.nc.RemoteAddr())
	why := c.ending.Load()
	if l, ok := limitOf(why.code); ok && why.err != nil {
		c.broker.limited(c.client, l)
	}
	if broken, ok := errors.AsType[*invariantBroken](why.err); ok {
		c.broker.logger.Error("internal error; the connection was closed", "client", c.client.ClientID,
			"error", broken.Error(), "stack", string(broken.stack))
	}
	c.firehoseEnds()
	c.authEnds()
	c.tellEnd(why)
	c.broker.emit(Disconnected{Client: c.client, Remote: c.nc.RemoteAddr(), Code: why.code, Err: why.err,
		After: time.Since(c.opened)})
	c.broker.running.Done()
}

// pump sends what waits in the Session of c while the outbox has room. The caller
// flushes.
func (c *conn) pump() {
	b := c.broker.takeBatch()
	defer b.giveBack()
	b.now = time.Now()
	c.session.pumpInto(b, c)
	b.untouch(c)
	b.recordAndReply()
}

// untouch leaves the flush of c to the caller.
func (b *batch) untouch(c *conn) {
	for i, touched := range b.touched {
		if touched == c {
			b.touched[i] = b.touched[len(b.touched)-1]
			b.touched = b.touched[:len(b.touched)-1]
			return
		}
	}
}

// codeOf returns the Reason Code that answers err.
func codeOf(err error) colibri.ReasonCode {
	if code, ok := errors.AsType[colibri.ReasonCode](err); ok {
		return code
	}
	return colibri.UnspecifiedError
}

// disconnectCode is codeOf for a DISCONNECT, which does not have all codes: the wrong
// version in a second CONNECT is a Protocol Error there [MQTT-3.14.2-1].
func disconnectCode(err error) colibri.ReasonCode {
	if code := codeOf(err); packet.ReasonCodeAllowed(packet.DISCONNECT, code) {
		return code
	}
	return colibri.ProtocolError
}

// reasonOf returns the Reason String for err: the cause in plain words, without the code
// that goes beside it. What is ours alone stays with us.
func reasonOf(err error) string {
	wrong, ok := errors.AsType[*colibri.Error](err)
	switch {
	case !ok:
		return ""
	case wrong.Err == nil:
		return wrong.Op
	case wrong.Op == "":
		return wrong.Err.Error()
	}
	return wrong.Op + ": " + wrong.Err.Error()
}

// connSet holds all connections, for the sweep and for Shutdown.
type connSet struct {
	mu    sync.Mutex
	conns []*conn
	most  int // that there were at a time
}

func (s *connSet) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.place = len(s.conns)
	s.conns = append(s.conns, c)
	s.most = max(s.most, len(s.conns))
}

func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.conns[len(s.conns)-1]
	s.conns[c.place], last.place = last, c.place
	s.conns[len(s.conns)-1] = nil
	s.conns = s.conns[:len(s.conns)-1]
}

func (s *connSet) len() int {
	n, _ := s.numbers()
	return n
}

// numbers returns how many there are, and how many there have been at a time.
func (s *connSet) numbers() (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), s.most
}

// which returns the connections that pick chooses.
func (s *connSet) which(pick func(*conn) bool) (chosen []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if pick(c) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}
