package sim

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// conn is the client end of one Network Connection. Two goroutines move its bytes; all
// else belongs to the goroutine of the run.
type conn struct {
	client    *client
	session   *session // nil until CONNACK
	nc        net.Conn
	connect   *packet.Connect
	opened    int // step
	accepted  bool
	resumed   bool
	window    int // QoS 1 and 2 messages that may be unacknowledged at a time
	maxPacket int // the client's Maximum Packet Size; 0 without one
	keepAlive time.Duration
	lastSent  time.Time
	paused    bool
	calm      time.Time // the last quiet moment at which it was read: what comes now was sent after
	calmStep  int       // the step at whose end it was first read again
	expects   map[answer]int
	serverMax int // the broker's Receive Maximum
	aliasMax  int // the broker's Topic Alias Maximum
	aliases   map[string]uint32
	given     map[uint32]string // Topic Aliases of the broker
	acks      acknowledgements
	owed      []replay
	questions map[uint16]*asked // SUBSCRIBE and UNSUBSCRIBE packets without an answer
	why       ending            // what must end it, or has
	severed   bool              // we have closed
	graceful  bool
	keepWill  bool // our DISCONNECT asks for the Will Message
	will      *publication
	willDelay uint32 // seconds

	mu        sync.Mutex
	changed   sync.Cond
	inbox     []byte
	outbox    []byte
	held      bool // do not read
	finishing bool // close once the outbox is written
	closed    bool // the broker has closed, or we have
}

// answer is one packet that the broker owes.
type answer struct {
	kind packet.Type
	id   uint16
}

// ending says why a Network Connection ends.
type ending byte

const (
	lives ending = iota
	takenOver
	saidGoodbye
	cutOff
	sentRubbish
	tooSilent // its Keep Alive has passed
	maybeSilent
)

// acknowledgements are the packets that a client still has to send, each list in the
// order that the standard demands.
type acknowledgements struct {
	puback, pubrec, pubrel, pubcomp []uint16
}

func (a *acknowledgements) empty() bool {
	return len(a.puback)+len(a.pubrec)+len(a.pubrel)+len(a.pubcomp) == 0
}

func newConn(c *client, nc net.Conn) *conn {
	n := &conn{client: c, nc: nc, expects: map[answer]int{}, aliases: map[string]uint32{}, given: map[uint32]string{}}
	n.changed.L = &n.mu
	go n.read()
	go n.write()
	return n
}

func (n *conn) read() {
	buf := make([]byte, 4096)
	for {
		n.mu.Lock()
		for n.held && !n.closed {
			n.changed.Wait()
		}
		n.mu.Unlock()
		got, err := n.nc.Read(buf)
		n.mu.Lock()
		n.inbox = append(n.inbox, buf[:got]...)
		if err != nil {
			n.closed = true
			n.changed.Broadcast()
		}
		n.mu.Unlock()
		if err != nil {
			n.nc.Close()
			return
		}
	}
}

func (n *conn) write() {
	for {
		n.mu.Lock()
		for len(n.outbox) == 0 && !n.finishing && !n.closed {
			n.changed.Wait()
		}
		b := n.outbox
		n.outbox = nil
		ends := n.closed || len(b) == 0
		n.mu.Unlock()
		if ends {
			n.nc.Close()
			return
		}
		if _, err := n.nc.Write(b); err != nil {
			n.nc.Close()
			return
		}
	}
}

// sendBytes leaves b to the writing goroutine.
func (n *conn) sendBytes(b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outbox = append(n.outbox, b...)
	n.changed.Broadcast()
}

// pause stops or resumes reading.
func (n *conn) pause(paused bool) {
	n.paused = paused
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = paused
	n.changed.Broadcast()
}

// sever closes at once; finish closes when all is written.
func (n *conn) sever() {
	n.nc.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.changed.Broadcast()
}

func (n *conn) finish() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.finishing = true
	n.changed.Broadcast()
}

// received takes the packets that have arrived, and reports whether the connection has
// ended. Everybody is idle.
func (n *conn) received() (packets []packet.Packet, sizes []int, closed bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.inbox) > 0 {
		p, size, err := packet.Decode(n.inbox, n.client.version)
		if err == io.ErrUnexpectedEOF {
			if n.closed { // cut in the middle of a packet
				n.inbox = nil
			}
			break
		}
		if err != nil {
			return packets, sizes, n.closed, err
		}
		packets, sizes = append(packets, p), append(sizes, size)
		n.inbox = n.inbox[size:]
	}
	if len(n.inbox) > 0 { // what was decoded aliases the part before
		n.inbox = append([]byte(nil), n.inbox...)
	} else {
		n.inbox = nil
	}
	return packets, sizes, n.closed, nil
}

// open reports whether the client may act on n.
func (n *conn) open() bool { return n != nil && n.accepted && n.why == lives }

// inFlight returns how many QoS 1 and 2 messages of the broker the client has not
// acknowledged on this connection.
func (n *conn) inFlight() (count int) {
	for _, in := range n.session.incoming {
		if in.conn == n && !in.released {
			count++
		}
	}
	return count
}

// number returns an integer property, or what holds without it.
func number(ps colibri.Properties, id colibri.PropertyID, without int) int {
	if n, ok := ps.Number(id); ok {
		return int(n)
	}
	return without
}
