package cli

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// crowdTime is how long a login may take beside a crowd, at most: the listeners give each
// of the crowd 5 or 10 seconds, one after the other were too long.
const crowdTime = 4 * time.Second

const (
	crowdHeader  = "PROXY TCP4 192.0.2.1 192.0.2.2 40000 8883\r\n"
	crowdRequest = "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)

// dialFrom connects from an address of this machine.
func dialFrom(t *testing.T, from, address string) net.Conn {
	t.Helper()
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", address)
	if err != nil {
		t.Skipf("no connection from %s: %v", from, err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// silence opens connections from so many addresses, all of which send begin and nothing more.
func silence(t *testing.T, address string, n, addresses int, begin string) {
	t.Helper()
	if most := descriptorsOfProcess(); most > 0 && most < 2*uint64(n)+500 {
		t.Skipf("this process may have %d file descriptors only", most)
	}
	for i := range n {
		io.WriteString(dialFrom(t, fmt.Sprintf("127.0.0.%d", 2+i%addresses), address), begin)
	}
}

// upgraded asks for a WebSocket on nc, and fails unless it comes to one.
func upgraded(t *testing.T, nc net.Conn) {
	t.Helper()
	io.WriteString(nc, crowdRequest)
	answer, err := http.ReadResponse(bufio.NewReaderSize(nc, 16), nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the answer is %v, %v", answer, err)
	}
}

// TestBrokerCrowd lets a crowd of silent clients come, from one address and from several,
// and shows that others log in meanwhile.
func TestBrokerCrowd(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	trusted := &tls.Config{RootCAs: f.authority.Pool(), ServerName: "localhost"}
	login := func(t *testing.T, nc net.Conn) {
		if code := newRawClient(t, nc, colibri.V5).connect(packet.Connect{ClientID: "pump"}); code != colibri.Success {
			t.Errorf("got %v", code)
		}
	}
	for _, c := range []struct {
		name, config string
		begin        string // of each of the crowd
		login        func(t *testing.T, nc net.Conn)
		more         bool // from many addresses only
	}{
		{"TLS", f.listener(""), "", func(t *testing.T, nc net.Conn) { login(t, tls.Client(nc, trusted)) }, false},
		{"WSS", f.listener("protocol websockets\n"), "", func(t *testing.T, nc net.Conn) { upgraded(t, tls.Client(nc, trusted)) }, false},
		{"WebSocket", "listener 0 127.0.0.1\nprotocol websockets\n", "", func(t *testing.T, nc net.Conn) { upgraded(t, nc) }, true},
		{"PROXY", "listener 0 127.0.0.1\nenable_proxy_protocol 1\n", "", func(t *testing.T, nc net.Conn) {
			io.WriteString(nc, crowdHeader)
			login(t, nc)
		}, false},
		{"TLS behind a PROXY header", f.listener("enable_proxy_protocol 1\n"), "PROXY TCP4 192.0.2.9 192.0.2.2 40000 8883\r\n", func(t *testing.T, nc net.Conn) {
			io.WriteString(nc, crowdHeader)
			login(t, tls.Client(nc, trusted))
		}, true},
	} {
		crowds := []int{1, 50}
		if c.more {
			crowds = crowds[1:]
		}
		for _, addresses := range crowds {
			t.Run(fmt.Sprintf("%s from %d", c.name, addresses), func(t *testing.T) {
				b := startConfigured(t, "persistence false\nallow_anonymous true\n"+c.config)
				address := b.address()
				silence(t, address, 2200, addresses, c.begin)
				nc := dialFrom(t, "127.0.0.1", address)
				nc.SetDeadline(time.Now().Add(crowdTime))
				c.login(t, nc)
				b.until(`Limit reached \(handshakes\): \d+ times, the last time by a connection from `)
				b.end()
			})
		}
	}
}

// TestBrokerPerAddress shows that the connections of an address are counted before any handshake,
// but for that of a proxy, which tells the address.
func TestBrokerPerAddress(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	closed := func(t *testing.T, nc net.Conn) {
		t.Helper()
		nc.SetReadDeadline(time.Now().Add(crowdTime))
		if _, err := nc.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("one too many: got %v, want the end", err)
		}
	}
	const limit = "persistence false\nallow_anonymous true\ncolibri_max_connections_per_address 3\n"
	for name, config := range map[string]string{"TCP": "listener 0 127.0.0.1\n", "TLS": f.listener(""), "WSS": f.listener("protocol websockets\n")} {
		t.Run(name, func(t *testing.T) {
			b := startConfigured(t, limit+config)
			address := b.address()
			for range 3 {
				dialFrom(t, "127.0.0.2", address)
				dialFrom(t, "127.0.0.3", address)
			}
			closed(t, dialFrom(t, "127.0.0.2", address))
			closed(t, dialFrom(t, "127.0.0.3", address))
			nc := dialFrom(t, "127.0.0.1", address)
			if name != "TCP" {
				nc = tls.Client(nc, &tls.Config{RootCAs: f.authority.Pool(), ServerName: "localhost"})
			}
			if name == "WSS" {
				upgraded(t, nc)
			} else if code := newRawClient(t, nc, colibri.V5).connect(packet.Connect{ClientID: "pump"}); code != colibri.Success {
				t.Errorf("from another address: got %v", code)
			}
			b.until(`Limit reached \(connections of an address\): 1 times, the last time by a connection from 127\.0\.0\.2:\d+\.`)
			b.end()
		})
	}
	t.Run("PROXY", func(t *testing.T) {
		b := startConfigured(t, limit+"listener 0 127.0.0.1\nenable_proxy_protocol 1\n")
		address := b.address()
		for range 10 { // the proxy's own are not counted before they have told
			dialFrom(t, "127.0.0.1", address)
		}
		client := func(from string) net.Conn {
			nc := dialFrom(t, "127.0.0.1", address)
			io.WriteString(nc, "PROXY TCP4 "+from+" 192.0.2.2 40000 1883\r\n")
			return nc
		}
		for range 3 {
			client("192.0.2.1")
		}
		b.until(`(?s)(New connection from 192\.0\.2\.1:40000 .*){3}`)
		closed(t, client("192.0.2.1"))
		if code := newRawClient(t, client("192.0.2.7"), colibri.V5).connect(packet.Connect{ClientID: "pump"}); code != colibri.Success {
			t.Errorf("another client of the proxy: got %v", code)
		}
		b.until(`Limit reached \(connections of an address\): 1 times, the last time by a connection from 192\.0\.2\.1:40000\.`)
		b.end()
	})
}
