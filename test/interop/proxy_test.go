package interop

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// TestProxies goes through a SOCKS5 proxy with mosquitto_pub and with ours: they ask for
// the same, and end with the same line and the same exit code when it refuses. Nothing is
// escaped: Mosquitto 2.0.11 reads %40 as a colon.
func TestProxies(t *testing.T) {
	b := startBroker(t, mosquitto)
	for _, c := range []struct {
		name   string
		method byte // the proxy chooses it
		login  byte // its answer to the user and the password
		reply  byte // to the request
		exit   int
	}{
		{"open", 0, 0, 0, 0},
		{"with a user", 2, 0, 0, 0},
		{"no method", 0xFF, 0, 0, 11},
		{"wrong password", 2, 1, 0, 16},
		{"general failure", 0, 0, 1, 16},
		{"forbidden", 0, 0, 2, 11},
		{"network unreachable", 0, 0, 3, 4},
		{"host unreachable", 0, 0, 4, 4},
		{"connection refused", 0, 0, 5, 4},
		{"expired", 0, 0, 6, 16},
		{"command unknown", 0, 0, 7, 16},
		{"address unknown", 0, 0, 8, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			heard := make(chan string, 2) // what each client has sent, but for the methods it offers
			go func() {
				for {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					heard <- serveSOCKS(nc, c.method, c.login, c.reply, b.address())
				}
			}()
			var said []string
			for _, command := range [][]string{{paths["mosquitto_pub"]}, {paths[colibri], "pub"}} {
				args := append(command[1:], "-h", "broker.invalid", "-p", strconv.Itoa(b.port), "-t", "a", "-m", "b", "-q", "1",
					"--proxy", "socks5h://user:geheim@"+l.Addr().String())
				p := start(t, command[0], args...)
				if exit := p.wait(t); exit != c.exit {
					t.Errorf("%s: got exit %d, want %d", p.name, exit, c.exit)
				}
				first, _, _ := strings.Cut(p.stderr.String(), "\n")
				said = append(said, first+" "+<-heard)
			}
			if said[0] != said[1] {
				t.Errorf("ours: got %q, want %q", said[1], said[0])
			}
		})
	}
}

// serveSOCKS answers a client of a proxy and connects it to target, if reply is 0. It
// returns what the client has sent before.
func serveSOCKS(nc net.Conn, method, login, reply byte, target string) string {
	defer nc.Close()
	var heard []byte
	take := func(n int) []byte {
		b := make([]byte, n)
		n, _ = io.ReadFull(nc, b)
		return b[:n]
	}
	keep := func(n int) byte {
		b := take(n)
		if heard = append(heard, b...); len(b) < n || n == 0 {
			return 0
		}
		return b[n-1]
	}
	if b := take(2); len(b) == 2 {
		take(int(b[1]))
	}
	nc.Write([]byte{5, method})
	if method == 2 {
		keep(int(keep(2)))
		keep(int(keep(1)))
		nc.Write([]byte{1, login})
	}
	if method == 0xFF || login != 0 {
		return string(heard)
	}
	keep(int(keep(5)) + 2) // the name of a host, and the port
	nc.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
	if reply != 0 {
		return string(heard)
	}
	far, err := net.Dial("tcp", target)
	if err != nil {
		return err.Error()
	}
	go func() {
		io.Copy(far, nc)
		far.Close()
	}()
	io.Copy(nc, far)
	return string(heard)
}
