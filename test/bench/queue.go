package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

const (
	queueTopic   = "bench/queue"
	queueClient  = "bench-queue" // whose Session queues while its client is away
	payloadBytes = 256
	warmUp       = 500 * time.Millisecond
	patience     = 2 * time.Minute  // for one answer of the broker; it may have to start first
	silence      = 20 * time.Second // while a queue is fetched
)

// queued is what one run of queueing has measured.
type queued struct {
	rate float64 // PUBACKs a second
	cpu  float64 // of the broker, µs a message
	// ms from writing PUBLISH until PUBACK was read
	p50, p99, p999, longest float64
}

// queue lets publishers publish at QoS 1 to a Session whose client is away, each with one
// message under way, and then fetches all that was acknowledged.
//
// A message that was acknowledged and is not delivered, or twice, or before an older one of
// its publisher, is an error.
func queue(broker *process, publishers int, length time.Duration) (queued, error) {
	if err := subscribe(broker); err != nil {
		return queued{}, fmt.Errorf("subscribing: %w", err)
	}
	load := make([]*publisher, publishers)
	defer func() {
		for _, p := range load {
			if p != nil {
				p.nc.Close()
			}
		}
	}()
	for i := range load {
		nc, _, err := connect(broker, fmt.Sprintf("bench-publisher-%d", i), true)
		if err != nil {
			return queued{}, fmt.Errorf("connecting publisher %d: %w", i, err)
		}
		load[i] = &publisher{nc: nc, number: uint32(i)}
	}

	var phase phase
	var running sync.WaitGroup
	for _, p := range load {
		running.Go(func() { p.err = p.publish(&phase) })
	}
	time.Sleep(warmUp)
	before, errBefore := broker.cpu()
	began := time.Now()
	phase.measuring.Store(true)
	time.Sleep(length)
	phase.measuring.Store(false)
	took := time.Since(began)
	after, errAfter := broker.cpu()
	phase.over.Store(true)
	running.Wait()
	if err := errors.Join(errBefore, errAfter); err != nil {
		return queued{}, err
	}

	var times []time.Duration
	acknowledged := make([]uint64, publishers)
	for i, p := range load {
		if p.err != nil {
			return queued{}, fmt.Errorf("publisher %d: %w", i, p.err)
		}
		times = append(times, p.times...)
		acknowledged[i] = p.acknowledged
	}
	if len(times) == 0 {
		return queued{}, errors.New("nothing was acknowledged in time; measure longer")
	}
	if err := fetch(broker, acknowledged); err != nil {
		return queued{}, fmt.Errorf("fetching what was queued: %w", err)
	}
	slices.Sort(times)
	n := float64(len(times))
	return queued{
		rate: n / took.Seconds(),
		cpu:  float64((after - before).Microseconds()) / n,
		p50:  milliseconds(percentile(times, 0.50)),
		p99:  milliseconds(percentile(times, 0.99)),
		p999: milliseconds(percentile(times, 0.999)),

		longest: milliseconds(times[len(times)-1]),
	}, nil
}

// percentile returns the smallest value that is not exceeded by that part of all, which are
// sorted and at least one.
func percentile(sorted []time.Duration, part float64) time.Duration {
	return sorted[max(int(math.Ceil(part*float64(len(sorted))))-1, 0)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// phase is what all publishers are in. After the warm-up they measure, until it is over.
type phase struct{ measuring, over atomic.Bool }

// publisher publishes one message after the other. All of it is its own goroutine's until
// that has ended.
type publisher struct {
	nc           net.Conn
	number       uint32
	acknowledged uint64          // messages; their payloads are numbered from 1
	times        []time.Duration // from PUBLISH to PUBACK while measuring
	err          error
}

func (p *publisher) publish(phase *phase) error {
	m := &packet.Publish{QoS: colibri.AtLeastOnce, Topic: queueTopic, Payload: make([]byte, payloadBytes)}
	binary.BigEndian.PutUint32(m.Payload, p.number)
	var b []byte
	var answer [4]byte // PUBACK of 3.1.1
	for !phase.over.Load() {
		binary.BigEndian.PutUint64(m.Payload[4:], p.acknowledged+1)
		m.PacketID = uint16(p.acknowledged%math.MaxUint16) + 1
		var err error
		if b, err = packet.AppendPublish(b[:0], m, colibri.V311); err != nil {
			return err
		}
		p.nc.SetDeadline(time.Now().Add(patience))
		began := time.Now()
		if _, err := p.nc.Write(b); err != nil {
			return err
		}
		if _, err := io.ReadFull(p.nc, answer[:]); err != nil {
			return fmt.Errorf("waiting for PUBACK: %w", err)
		}
		took := time.Since(began)
		got, _, err := packet.Decode(answer[:], colibri.V311)
		if err != nil {
			return err
		}
		if puback, ok := got.(*packet.Puback); !ok || puback.PacketID != m.PacketID {
			return fmt.Errorf("got %T %+v, want the PUBACK of %d", got, got, m.PacketID)
		}
		p.acknowledged++
		if phase.measuring.Load() {
			p.times = append(p.times, took)
		}
	}
	return nil
}

// connect opens a connection with 3.1.1 and says whether its Session was there.
func connect(broker *process, clientID string, clean bool) (nc net.Conn, present bool, err error) {
	if nc, err = broker.dial(patience); err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			nc.Close()
		}
	}()
	got, err := exchange(nc, &packet.Connect{Version: colibri.V311, ClientID: clientID, CleanStart: clean})
	if err != nil {
		return nil, false, err
	}
	connack, ok := got.(*packet.Connack)
	if !ok || connack.Code != colibri.Success {
		return nil, false, fmt.Errorf("CONNECT was answered by %T %+v", got, got)
	}
	return nc, connack.SessionPresent, nil
}

// subscribe makes the Session that queues, and leaves it.
func subscribe(broker *process) error {
	nc, _, err := connect(broker, queueClient, false)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := grant(nc, queueTopic); err != nil {
		return err
	}
	b, err := packet.Append(nil, &packet.Disconnect{}, colibri.V311)
	if err != nil {
		return err
	}
	if _, err := nc.Write(b); err != nil {
		return err
	}
	nc.SetDeadline(time.Now().Add(patience))
	_, err = io.Copy(io.Discard, nc) // until the broker has taken notice
	return err
}

// grant subscribes to a filter at QoS 1.
func grant(nc net.Conn, filter string) error {
	got, err := exchange(nc, &packet.Subscribe{PacketID: 1,
		Subscriptions: []colibri.Subscription{{Filter: filter, QoS: colibri.AtLeastOnce}}})
	if err != nil {
		return err
	}
	if suback, ok := got.(*packet.Suback); !ok || suback.Codes[0] != colibri.GrantedQoS1 {
		return fmt.Errorf("SUBSCRIBE was answered by %T %+v", got, got)
	}
	return nil
}

// exchange writes a packet and reads one, the answer, and nothing that follows it.
func exchange(nc net.Conn, p packet.Packet) (packet.Packet, error) {
	b, err := packet.Append(nil, p, colibri.V311)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(b); err != nil {
		return nil, err
	}
	return receive(nc)
}

// receive reads one packet, byte by byte, and nothing that follows it.
func receive(nc net.Conn) (packet.Packet, error) {
	nc.SetDeadline(time.Now().Add(patience))
	var b []byte
	for {
		b = append(b, 0)
		if _, err := io.ReadFull(nc, b[len(b)-1:]); err != nil {
			return nil, err
		}
		if p, _, err := packet.Decode(b, colibri.V311); !errors.Is(err, io.ErrUnexpectedEOF) {
			return p, err
		}
	}
}

// fetch takes what the Session has queued, acknowledges it, and compares it with what each
// publisher has had acknowledged.
func fetch(broker *process, acknowledged []uint64) error {
	nc, present, err := connect(broker, queueClient, false)
	if err != nil {
		return err
	}
	defer nc.Close()
	if !present {
		return errors.New("the Session is gone")
	}
	var want, got uint64
	for _, n := range acknowledged {
		want += n
	}
	seen := make([]uint64, len(acknowledged))
	var decoder packet.Decoder
	var answers []byte
	buffer := make([]byte, 64<<10)
	held := 0
	for got < want {
		nc.SetDeadline(time.Now().Add(silence))
		n, err := nc.Read(buffer[held:])
		if err != nil {
			return fmt.Errorf("%d of %d have come: %w", got, want, err)
		}
		held += n
		at := 0
		answers = answers[:0]
		for {
			p, n, err := decoder.Decode(buffer[at:held], colibri.V311)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				return err
			}
			at += n
			m, ok := p.(*packet.Publish)
			if !ok {
				return fmt.Errorf("got %T %+v", p, p)
			}
			if err := inOrder(m.Payload, seen); err != nil {
				return err
			}
			got++
			if answers, err = packet.Append(answers, &packet.Puback{PacketID: m.PacketID}, colibri.V311); err != nil {
				return err
			}
		}
		held = copy(buffer, buffer[at:held])
		if _, err := nc.Write(answers); err != nil {
			return err
		}
	}
	if !slices.Equal(seen, acknowledged) {
		return errors.New("as many have come as were acknowledged, but not the same")
	}
	return nil
}

// inOrder notes in seen that a payload has come, which must follow the one before of its
// publisher.
func inOrder(payload []byte, seen []uint64) error {
	if len(payload) != payloadBytes {
		return fmt.Errorf("a payload has %d bytes, want %d", len(payload), payloadBytes)
	}
	publisher, number := binary.BigEndian.Uint32(payload), binary.BigEndian.Uint64(payload[4:])
	if int(publisher) >= len(seen) || number != seen[publisher]+1 {
		return fmt.Errorf("message %d of publisher %d has come out of order", number, publisher)
	}
	seen[publisher] = number
	return nil
}
