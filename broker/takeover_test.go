package broker

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/packet"
)

// closedLog keeps the ends of connections that it is told of.
type closedLog struct {
	memoryLog
	mu   sync.Mutex
	ends []journal.SessionClosed
}

func (l *closedLog) Durability() Level { return OnDisk }

func (l *closedLog) Append(_ int, entries []byte, done func(Pos, error)) {
	l.mu.Lock()
	for len(entries) > 0 {
		e, n, err := journal.Decode(entries)
		if err != nil {
			panic(err)
		}
		if closed, ok := e.(journal.SessionClosed); ok {
			l.ends = append(l.ends, closed)
		}
		entries = entries[n:]
	}
	l.mu.Unlock()
	if done != nil {
		done(1, nil)
	}
}

// TestCheckpointDuringTakeover shows that a checkpoint says nothing wrong about when the last
// connection of a Session has ended whose client changes its connection.
func TestCheckpointDuringTakeover(t *testing.T) {
	log := &closedLog{}
	b, err := New(Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go b.Serve(l)
	defer b.Shutdown(context.Background())
	connect, err := packet.Append(nil, &packet.Connect{ClientID: "client", Version: colibri.V311}, colibri.V311)
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.Write(connect)
		nc.SetReadDeadline(time.Now().Add(time.Minute))
		nc.Read(make([]byte, 4))
		return nc
	}
	nc := dial()
	s := b.registry.all()[0]
	began := time.Now()
	over := make(chan struct{})
	var others sync.WaitGroup
	for range 2 { // what publishers do to a Session
		others.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				s.mu.Lock()
				for now := time.Now(); time.Since(now) < 300*time.Microsecond; {
				}
				s.mu.Unlock()
			}
		})
	}
	others.Go(func() { // what a checkpoint does with it
		for {
			select {
			case <-over:
				return
			default:
			}
			w := &snapshot{broker: b, number: 1, stored: make(map[uint64]struct{})}
			w.session(s)
		}
	})
	for range 100 { // the client takes its Session over
		next := dial()
		nc.Close()
		nc = next
	}
	close(over)
	others.Wait()
	nc.Close()
	log.mu.Lock() // the end of the last connections may still be on its way
	defer log.mu.Unlock()
	for _, end := range log.ends {
		if at := time.Unix(0, end.At); at.Before(began) {
			t.Fatalf("the log says that the connection ended at %v, before it began", at)
		}
	}
}
