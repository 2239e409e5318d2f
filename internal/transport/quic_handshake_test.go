package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/colibri-mqtt/colibri/internal/accept"
)

// closing counts how often it was closed.
type closing struct{ n int }

func (c *closing) CloseWithError(quic.ApplicationErrorCode, string) error { c.n++; return nil }

func quicFrom(address string) net.Addr {
	return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address))
}

// TestQUICCrowd shows how many may be without a stream, in all and of one address, and who gives
// way: the one that has had a connection for the longest time, not who has none or a stream.
func TestQUICCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newQUICCrowd(nil)
		var all []*quicHandshake
		for i := range 2 * quicOfAddress {
			h, err := c.enter(quicFrom(fmt.Sprintf("192.0.2.%d:7", i%2)), true)
			if err != nil {
				t.Fatalf("number %d: %v", i, err)
			}
			all = append(all, h)
		}
		for _, from := range []string{"192.0.2.0:7", "192.0.2.1:7", "192.0.2.2:7"} {
			if _, err := c.enter(quicFrom(from), true); err != accept.ErrCrowded {
				t.Errorf("from %s, with nobody to give way: got %v", from, err)
			}
		}
		conns := make([]closing, 4)
		for i := range conns {
			time.Sleep(time.Millisecond)
			if err := all[9-i].connected(&conns[i]); err != nil {
				t.Fatal(err)
			}
		}
		all[9].open()
		if _, err := c.enter(quicFrom("192.0.2.2:7"), true); err != accept.ErrCrowded {
			t.Errorf("with nobody silent for long: got %v", err)
		}
		time.Sleep(quicSilent)
		if _, err := c.enter(quicFrom("192.0.2.1:7"), true); err != accept.ErrCrowded {
			t.Errorf("of an address that has its share: got %v", err)
		}
		if _, err := c.enter(quicFrom("192.0.2.2:7"), true); err != nil {
			t.Errorf("one more: got %v", err)
		}
		synctest.Wait()
		if conns[0].n != 0 || conns[1].n != 1 || conns[2].n != 0 {
			t.Errorf("closed: got %v, want the second", conns)
		}
		if all[8].open() {
			t.Error("who has given way has opened its stream")
		}
		if err := all[8].end(context.Canceled); err != accept.ErrCrowded {
			t.Errorf("the end of who has given way: got %v", err)
		}
		if err := all[9].end(context.Canceled); err != nil {
			t.Errorf("the end of one with a stream: got %v", err)
		}
		if err := all[3].end(&quic.HandshakeTimeoutError{}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the end of one that was late: got %v", err)
		}
		if _, err := c.enter(quicFrom("192.0.2.3:7"), false); err != nil { // has the place of the last one
			t.Errorf("after an end: got %v", err)
		}
	})
}

// TestQUICFailures shows what is told of clients that do not come to a stream.
func TestQUICFailures(t *testing.T) {
	server, client := quicCertificate(t)
	failed := make(chan error, 10)
	l, err := Listen("quic://127.0.0.1:0", Options{TLS: server, TLSRefused: func(_ net.Addr, err error) { failed <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	next := func(want string) {
		t.Helper()
		select {
		case err := <-failed:
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("nothing is told, want %s", want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	Dial(ctx, "quic://"+l.Addr().String(), Options{})
	next("remote error: tls: bad certificate")
	config := client.Clone()
	config.NextProtos, config.ServerName = []string{"h3"}, "127.0.0.1"
	quic.DialAddr(ctx, l.Addr().String(), config, nil)
	next("unsupported application protocols")
	config.NextProtos = []string{"mqtt"}
	conn, err := quic.DialAddr(ctx, l.Addr().String(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.CloseWithError(0, "")
	next("without opening a stream")
	nc, err := Dial(ctx, "quic://"+l.Addr().String(), Options{TLS: client})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(nc, "hello")
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	served.Close()
	nc.Close()
	l.Close()
	select {
	case err := <-failed:
		t.Errorf("of one that was served: got %v", err)
	default:
	}
}

// TestQUICPerAddress shows that clients without a stream count as connections of their address,
// and that their end makes room.
func TestQUICPerAddress(t *testing.T) {
	server, client := quicCertificate(t)
	refused, failed := make(chan net.Addr, 10), make(chan error, 10)
	counted := &accept.Addresses{Most: 2, Refused: func(remote net.Addr) { refused <- remote }}
	l, err := Listen("quic://127.0.0.1:0", Options{TLS: server, PerAddress: counted, TLSRefused: func(_ net.Addr, err error) { failed <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	config := client.Clone()
	config.NextProtos, config.ServerName = []string{"mqtt"}, "127.0.0.1"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	dial := func() *quic.Conn {
		conn, err := quic.DialAddr(ctx, l.Addr().String(), config, nil)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first, second, third := dial(), dial(), dial()
	<-refused
	select { // the server sees them in any order
	case <-first.Context().Done():
		first = second
	case <-second.Context().Done():
	case <-third.Context().Done():
	}
	first.CloseWithError(0, "")
	if err := <-failed; err != errQUICNoStream {
		t.Errorf("the end of one without a stream: got %v", err)
	}
	nc, err := Dial(ctx, "quic://"+l.Addr().String(), Options{TLS: client})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(nc, "hello")
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	<-dial().Context().Done() // a served one counts too
	<-refused
	if state := served.(*QUIC).ConnectionState(); state.Version != tls.VersionTLS13 {
		t.Errorf("got %+v", state)
	}
	nc.Close()
	served.Close()
}
