package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// CaptureFilter says which packets a Capture gets: those for which all that is set holds. The
// zero value takes all.
type CaptureFilter struct {
	ClientID string
	UserName string
	// Address is the IP address of the client, or a network; the zero value is any.
	Address netip.Prefix
	// Topic is a Topic Filter: then only PUBLISH packets to a topic that it matches are taken,
	// SUBSCRIBE and UNSUBSCRIBE packets with a filter that can match the same topic, what
	// acknowledges these, and the end of the connections on which there was one. A Topic
	// Alias is known for what it stands.
	Topic string
}

// Capture is a copy of packets as they pass. It never holds them up: what does not fit into its
// queue is counted in place of being copied. All methods are safe for concurrent use.
type Capture struct {
	broker *Broker
	filter CaptureFilter
	levels []string // of filter.Topic; nil without one
	most   int      // bytes in the queue

	mu      sync.Mutex // a leaf
	conns   map[uint64]*capturedConn
	queue   []TracedPacket
	bytes   int
	lost    Lost
	closed  bool
	waiting chan struct{} // has one element when there may be something in the queue
}

// Lost counts the packets that a Capture would have got but for the size of its queue.
type Lost struct{ Packets, Bytes int64 }

// capturedConn is a connection whose packets a Capture gets.
type capturedConn struct {
	info *TracedConnection
	open map[uint32]struct{} // handshakes whose other packets are taken, see handshakeOf; nil without any
}

// captureList holds the captures that are going on.
type captureList struct {
	mu   sync.Mutex // of changes; a leaf
	live atomic.Pointer[[]*Capture]
}

// maxCaptures is how many there may be at a time.
const maxCaptures = 8

// capturedPacketBytes is what a packet in a queue takes besides its bytes.
const capturedPacketBytes = 128

// list returns the captures, nil without any.
func (l *captureList) list() []*Capture {
	if live := l.live.Load(); live != nil {
		return *live
	}
	return nil
}

// change replaces the list; fn must not change what it is given.
func (l *captureList) change(fn func([]*Capture) []*Capture) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if changed := fn(l.list()); len(changed) > 0 {
		l.live.Store(&changed)
	} else {
		l.live.Store(nil)
	}
}

// Capture begins a Capture, which Close ends. queueBytes bounds what waits for Next. A
// connection that is open already is taken from its next packet on. It is an error when the
// Topic of the filter is no Topic Filter, a *topic.SyntaxError, and when there are 8 captures.
func (b *Broker) Capture(f CaptureFilter, queueBytes int) (*Capture, error) {
	c := &Capture{broker: b, filter: f, most: queueBytes, conns: make(map[uint64]*capturedConn), waiting: make(chan struct{}, 1)}
	if f.Topic != "" {
		if err := topic.CheckFilter(f.Topic); err != nil {
			return nil, err
		}
		if _, _, shared := topic.SplitShared(f.Topic); shared {
			return nil, errors.New("broker: a Capture takes a Topic Filter without a Share Name")
		}
		c.levels = strings.Split(f.Topic, "/")
	}
	full := false
	b.captures.change(func(live []*Capture) []*Capture {
		if full = len(live) >= maxCaptures; full {
			return live
		}
		return append(slices.Clone(live), c)
	})
	if full {
		return nil, fmt.Errorf("%d captures are going on already; end one", maxCaptures)
	}
	return c, nil
}

// Close ends the capture. What waits can still be had from Next.
func (c *Capture) Close() {
	c.broker.captures.change(func(live []*Capture) []*Capture {
		return slices.DeleteFunc(slices.Clone(live), func(one *Capture) bool { return one == c })
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.conns = nil
}

// Next waits until there are packets, or ctx ends, and returns all that wait: nil only with
// the error of ctx. They are the caller's.
func (c *Capture) Next(ctx context.Context) ([]TracedPacket, error) {
	for {
		if packets := c.take(); len(packets) > 0 {
			return packets, nil
		}
		select {
		case <-ctx.Done():
			return c.take(), ctx.Err()
		case <-c.waiting:
		}
	}
}

func (c *Capture) take() []TracedPacket {
	c.mu.Lock()
	defer c.mu.Unlock()
	packets := c.queue
	c.queue, c.bytes = nil, 0
	return packets
}

// Lost returns what was lost until now.
func (c *Capture) Lost() Lost {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// sight is a packet that passes, for captures; the end of a connection when length is 0.
type sight struct {
	at         time.Time
	toClient   bool
	length     int
	head, tail []byte // its bytes, without secrets
	reason     string

	// For captures with a Topic.
	packet packet.Packet // nil when there is none at hand; then what follows says it
	id     uint16
	code   colibri.ReasonCode
	topic  string // of a PUBLISH
}

// chooses reports whether the filter takes this client, whatever the Topic.
func (c *Capture) chooses(who subject) bool {
	_, client, remote := who.name()
	return c.filter.takes(client, remote)
}

// Chooses reports whether the packets of a connection are taken, whatever the Topic.
func (f *CaptureFilter) Chooses(c *TracedConnection) bool { return f.takes(&c.Client, c.Remote) }

func (f *CaptureFilter) takes(client *ClientInfo, remote net.Addr) bool {
	if f.ClientID != "" && f.ClientID != client.ClientID || f.UserName != "" && f.UserName != client.UserName {
		return false
	}
	if f.Address.IsValid() {
		ip, ok := remote.(interface{ AddrPort() netip.AddrPort })
		return ok && f.Address.Contains(ip.AddrPort().Addr().Unmap().WithZone(""))
	}
	return true
}

// offer puts the packet into the queue if the capture wants it. It does not wait. The caller
// may hold the lock of a Session.
func (c *Capture) offer(who subject, s *sight) {
	if !c.chooses(who) {
		return
	}
	number, _, _ := who.name()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	one, handshake := c.conns[number], uint32(0)
	if c.levels != nil {
		takes := false
		if takes, handshake = c.wants(one, s); !takes {
			return
		}
	}
	if one == nil {
		one = &capturedConn{info: who.traced()}
		c.conns[number] = one
	}
	if handshake != 0 {
		if one.open == nil {
			one.open = make(map[uint32]struct{})
		}
		one.open[handshake] = struct{}{}
	}
	if s.length == 0 {
		delete(c.conns, number)
	}
	size := capturedPacketBytes + len(s.head) + len(s.tail)
	if c.bytes+size > c.most {
		c.lost.Packets++
		c.lost.Bytes += int64(s.length)
		return
	}
	c.bytes += size
	bytes := make([]byte, 0, len(s.head)+len(s.tail))
	c.queue = append(c.queue, TracedPacket{Connection: one.info, Time: s.at, ToClient: s.toClient, Length: s.length,
		Bytes: append(append(bytes, s.head...), s.tail...), Reason: s.reason})
	select {
	case c.waiting <- struct{}{}:
	default:
	}
}
