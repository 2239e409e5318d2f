package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestSharedStorm publishes through a Shared Subscription whose members come and go in all
// ways at once. No QoS 1 message is lost, whoever goes with whatever; no QoS 2 message is
// lost or comes twice while the Sessions live.
func TestSharedStorm(t *testing.T) {
	for name, strategy := range map[string]broker.SharedStrategy{"round robin": broker.SharedRoundRobin,
		"least in flight": broker.SharedLeastInflight, "sticky": broker.SharedSticky, "hash of topic": broker.SharedHashTopic} {
		config := broker.Config{SharedStrategy: strategy, Limits: broker.Limits{Inflight: 5}}
		mqtest.Run(t, name+": Sessions that live [MQTT-4.8.2-4]", mqtest.Modern, config, func(scene *mqtest.Scene) {
			newStorm(scene, false).run()
		})
		mqtest.Run(t, name+": Sessions that end too", mqtest.Modern, config, func(scene *mqtest.Scene) {
			newStorm(scene, true).run()
		})
	}
}

const (
	stormPublishers = 4
	stormMembers    = 6
	stormMessages   = 150 // of each publisher
)

// storm counts how often each message was received, by its payload.
type storm struct {
	scene *mqtest.Scene
	ends  bool // Sessions end
	over  chan struct{}

	mu       sync.Mutex
	received map[string]int
}

func newStorm(scene *mqtest.Scene, ends bool) *storm {
	return &storm{scene: scene, ends: ends, over: make(chan struct{}), received: map[string]int{}}
}

// run lets publishers and members loose, and looks for all messages when it is quiet.
func (w *storm) run() {
	keeper := share(w.scene, "keeper", 2, resume) // keeps the group alive
	keeper.Disconnect()
	var publishers, members sync.WaitGroup
	var all []*stormMember
	for i := range stormMembers {
		m := newStormMember(w, fmt.Sprint("member", i))
		all = append(all, m)
		members.Go(m.live)
	}
	for i := range stormPublishers {
		publishers.Go(func() { w.publish(i) })
	}
	publishers.Wait()
	close(w.over)
	members.Wait()
	newStormMember(w, "keeper").stay() // of those who are away nobody keeps a QoS 1 message
	w.expect("the one who is there", colibri.AtLeastOnce, 0)
	for i := range stormMembers {
		members.Go(func() { all[i].stay() })
	}
	members.Wait()
	dropped := w.scene.Broker.Stats().Dropped
	missing := 0
	if w.ends {
		missing = int(dropped[broker.DropSessionEnded])
		delete(dropped, broker.DropSessionEnded)
	}
	w.expect("all", colibri.ExactlyOnce, missing)
	if s := w.scene.Broker.Stats(); s.Queued != 0 || s.StoredBytes != 0 {
		w.scene.Errorf("at the end %d messages wait with %d bytes, want none", s.Queued, s.StoredBytes)
	}
	if len(dropped) > 0 {
		w.scene.Errorf("dropped: got %v, want nothing", dropped)
	}
}

// expect fails unless each message of a QoS was received, but for as many as may be
// missing, and none of QoS 2 twice.
func (w *storm) expect(who string, qos colibri.QoS, missing int) {
	lost, twice := 0, 0
	for i := range stormPublishers {
		for j := range stormMessages {
			n := w.received[stormPayload(i, j)]
			if w.qos(j) == qos && n == 0 {
				lost++
			}
			if w.qos(j) == colibri.ExactlyOnce && n > 1 {
				twice++
			}
		}
	}
	if lost > missing || twice > 0 {
		w.scene.Errorf("%s: of %d messages %d of %v were lost, want %d at most, and %d of QoS 2 came twice", who, stormPublishers*stormMessages, lost, qos, missing, twice)
	}
}

func stormPayload(publisher, number int) string { return fmt.Sprint(publisher, " ", number) }

// qos returns the QoS of the messages with this number.
func (w *storm) qos(number int) colibri.QoS { return colibri.QoS(1 + number%2) }

// stormConn is a Network Connection of a client that has to be read and written by its own
// goroutine.
type stormConn struct {
	nc      net.Conn
	version colibri.Version
	present bool // the Session existed
	bytes   []byte
	broken  bool
}

func (w *storm) dial(connect *packet.Connect) *stormConn {
	client, server := transport.Pipe()
	go w.scene.Broker.ServeConn(context.Background(), server)
	c := &stormConn{nc: client, version: w.scene.Version}
	connect.Version = c.version
	c.send(connect)
	connack, ok := c.next(time.Minute).(*packet.Connack)
	if !ok || connack.Code != colibri.Success {
		w.scene.Errorf("CONNECT of %s: got %v", connect.ClientID, connack)
		c.broken = true
		return c
	}
	c.present = connack.SessionPresent
	return c
}

func (c *stormConn) send(p packet.Packet) {
	b, err := packet.Append(nil, p, c.version)
	if err != nil {
		panic(err)
	}
	if _, err := c.nc.Write(b); err != nil {
		c.broken = true
	}
}

// next returns the next packet, nil when none comes in time or the broker has closed.
func (c *stormConn) next(wait time.Duration) packet.Packet {
	c.nc.SetReadDeadline(time.Now().Add(wait))
	for !c.broken {
		p, n, err := packet.Decode(c.bytes, c.version)
		if err == nil {
			c.bytes = c.bytes[n:]
			return p
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			panic(err)
		}
		buf := make([]byte, len(c.bytes)+4096)
		n = copy(buf, c.bytes)
		m, err := c.nc.Read(buf[n:])
		c.bytes = buf[:n+m]
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return nil
		}
		c.broken = c.broken || err != nil && m == 0
	}
	return nil
}

// publish sends the messages of one publisher, several at a time.
func (w *storm) publish(publisher int) {
	c := w.dial(&packet.Connect{ClientID: fmt.Sprint("publisher", publisher), CleanStart: true})
	defer c.nc.Close()
	const atATime = 10
	for j := 0; j < stormMessages; j += atATime {
		for k := range atATime {
			c.send(&packet.Publish{Topic: "a", QoS: w.qos(j + k), PacketID: uint16(k + 1), Payload: []byte(stormPayload(publisher, j+k))})
		}
		for acknowledged := 0; acknowledged < atATime; {
			switch p := c.next(time.Minute).(type) {
			case *packet.Puback, *packet.Pubcomp:
				acknowledged++
			case *packet.Pubrec:
				c.send(pubrel(p.PacketID, 0))
			default:
				w.scene.Errorf("publisher %d: got %v instead of an acknowledgement", publisher, p)
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// stormMember is a client that comes and goes.
type stormMember struct {
	*storm
	id     string
	held   map[uint16]bool // QoS 2 messages that it has and that were not released
	random *rand.Rand
	old    []*stormConn // that it has not closed
}

func newStormMember(w *storm, id string) *stormMember {
	return &stormMember{storm: w, id: id, held: map[uint16]bool{}, random: rand.New(rand.NewPCG(uint64(len(id)), uint64(id[len(id)-1])))}
}

// live comes and goes until the storm is over.
func (m *stormMember) live() {
	for {
		select {
		case <-m.over:
			for _, c := range m.old {
				c.nc.Close()
			}
			return
		default:
		}
		c := m.connect(m.ends && m.random.IntN(4) == 0)
		m.receive(c, m.random.IntN(40), time.Duration(m.random.IntN(3))*time.Millisecond)
		switch m.random.IntN(5) {
		case 0:
			c.send(&packet.Disconnect{})
			c.next(time.Minute) // the broker closes
			c.nc.Close()
		case 1:
			c.send(unsubscribe(2, "$share/s/a"))
			m.receive(c, m.random.IntN(10), 0)
			c.nc.Close()
		case 2: // the next connection takes over
			m.old = append(m.old, c)
		default:
			c.nc.Close()
		}
		if m.random.IntN(3) == 0 {
			time.Sleep(time.Duration(m.random.IntN(4000)) * time.Microsecond)
		}
	}
}

// stay receives until nothing comes for a while.
func (m *stormMember) stay() {
	c := m.connect(false)
	m.receive(c, 1_000_000, 10*time.Second)
	c.nc.Close()
}

func (m *stormMember) connect(clean bool) *stormConn {
	connect := &packet.Connect{ClientID: m.id, CleanStart: clean}
	if m.scene.Version == v5 {
		connect.Properties = number(colibri.SessionExpiryInterval, 3600)
		if clean && m.random.IntN(2) == 0 {
			connect.Properties = nil // this Session ends with the connection
		}
	}
	c := m.dial(connect)
	if !c.present {
		clear(m.held)
	}
	c.send(subscribe(1, to("$share/s/a", 2)))
	return c
}

// receive takes up to n packets, and acknowledges most of them. When it stays on, it
// acknowledges all.
func (m *stormMember) receive(c *stormConn, n int, wait time.Duration) {
	sloppy := n < 100
	for range n {
		switch p := c.next(wait).(type) {
		case *packet.Publish:
			if p.QoS == colibri.AtLeastOnce {
				m.count(p)
				if !sloppy || m.random.IntN(4) > 0 {
					c.send(puback(p.PacketID, 0))
				}
				continue
			}
			if sloppy && m.random.IntN(4) == 0 {
				continue // not even looked at
			}
			if !m.held[p.PacketID] {
				m.held[p.PacketID] = true
				m.count(p)
			}
			if !sloppy || m.random.IntN(4) > 0 {
				c.send(pubrec(p.PacketID, 0))
			}
		case *packet.Pubrel:
			delete(m.held, p.PacketID)
			if !sloppy || m.random.IntN(4) > 0 {
				c.send(pubcomp(p.PacketID, 0))
			}
		case nil:
			return
		}
	}
}

func (m *stormMember) count(p *packet.Publish) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.received[string(p.Payload)]++
}
