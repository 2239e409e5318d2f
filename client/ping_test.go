package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestPing covers [MQTT-3.1.2-20] [MQTT311-3.1.2-23]: a PINGREQ goes out when nothing
// else was sent for the Keep Alive, and not before.
func TestPing(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{KeepAlive: 10 * time.Second}, accepted())
		began := time.Now()
		for i := range 3 {
			p.expectAll(&packet.Pingreq{})
			p.send(&packet.Pingresp{})
			if got, want := time.Since(began), time.Duration(i+1)*10*time.Second; got != want {
				t.Errorf("PINGREQ number %d after %v, want %v", i, got, want)
			}
		}
		time.Sleep(6 * time.Second)
		sent := time.Now()
		done := start(func() (Result, error) { return c.Publish(t.Context(), message(1, "a", "")) })
		expect[*packet.Publish](p)
		p.send(&packet.Puback{PacketID: 1})
		if _, err := done(); err != nil {
			t.Fatal(err)
		}
		p.expectAll(&packet.Pingreq{})
		if got := time.Since(sent); got != 10*time.Second {
			t.Errorf("PINGREQ %v after a PUBLISH, want 10s", got)
		}
		p.send(&packet.Pingresp{})
		p.disconnect(c)
	})
}

// TestPingOfAPublisher: a Client that only sends asks whether it is heard.
func TestPingOfAPublisher(t *testing.T) {
	bubble(t, colibri.V311, func(t *testing.T, s *server) {
		c, p := s.dial(Options{KeepAlive: 10 * time.Second}, accepted())
		began := time.Now()
		for range 9 {
			time.Sleep(time.Second)
			c.Publish(t.Context(), message(0, "a", ""))
			expect[*packet.Publish](p)
		}
		time.Sleep(500 * time.Millisecond)
		c.Publish(t.Context(), message(0, "a", ""))
		expect[*packet.Publish](p)
		expect[*packet.Pingreq](p)
		if got := time.Since(began); got != 10*time.Second {
			t.Errorf("PINGREQ after %v, want 10s", got)
		}
		p.send(&packet.Pingresp{})
		p.disconnect(c)
	})
}

func TestPingTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		keepAlive, timeout, want time.Duration
	}{
		"short Keep Alive": {5 * time.Second, 0, 10 * time.Second},
		"long Keep Alive":  {60 * time.Second, 0, 70 * time.Second},
		"PingTimeout":      {60 * time.Second, 3 * time.Second, 63 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				began := time.Now()
				client, p := s.dial(Options{KeepAlive: c.keepAlive, PingTimeout: c.timeout}, accepted())
				p.expectAll(&packet.Pingreq{})
				<-client.Done()
				if err := client.Err(); !errors.Is(err, ErrPingTimeout) || time.Since(began) != c.want {
					t.Errorf("got %v after %v, want ErrPingTimeout after %v", err, time.Since(began), c.want)
				}
				p.nc.Close()
			})
		})
	}
}

// TestPingBusyServer: as long as something comes, a PINGRESP may take its time.
func TestPingBusyServer(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{KeepAlive: 10 * time.Second, PingTimeout: 3 * time.Second}, accepted())
		p.expectAll(&packet.Pingreq{})
		for range 4 {
			time.Sleep(2 * time.Second)
			p.send(&packet.Publish{Topic: "a"})
		}
		p.send(&packet.Pingresp{})
		p.disconnect(c)
	})
}

// TestPingWhilePaused: a program that does not read its messages does not stall
// PINGREQ, and is not taken for a Server that does not answer.
func TestPingWhilePaused(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{KeepAlive: 10 * time.Second, MaxQueued: 2}, accepted())
		sub := p.subscribed(c, "a")
		for range 10 {
			p.send(&packet.Publish{Topic: "a"})
		}
		for range 50 {
			p.expectAll(&packet.Pingreq{})
			p.send(&packet.Pingresp{})
		}
		for range 10 {
			if _, err := sub.Next(t.Context()); err != nil {
				t.Fatalf("Next: %v", err)
			}
		}
		p.expectAll(&packet.Pingreq{})
		p.send(&packet.Pingresp{})
		p.disconnect(c)
		if got := sub.Dropped(); got != 0 {
			t.Errorf("Dropped: got %d, want 0", got)
		}
	})
}

// TestStuckServer: a Server that takes nothing is given up after one and a half Keep
// Alive, though the PINGREQ cannot even be written.
func TestStuckServer(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		near, far := transport.PipeSize(100)
		o := s.options(Options{KeepAlive: 10 * time.Second})
		o.Dial = func(context.Context, string) (net.Conn, error) { return near, nil }
		dial := start(func() (*Client, error) { return Dial(t.Context(), "memory", o) })
		p := &peer{t: t, nc: far, v: s.v}
		expect[*packet.Connect](p)
		p.send(accepted())
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := c.Publish(t.Context(), message(0, "a", strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		if err := c.Err(); !isTimeout(err) || time.Since(began) != 15*time.Second {
			t.Errorf("got %v after %v, want a time-out after 15s", err, time.Since(began))
		}
		far.Close()
	})
}

// TestNoKeepAlive: 0 turns it off.
func TestNoKeepAlive(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		time.Sleep(100 * time.Hour)
		p.disconnect(c)
	})
}
