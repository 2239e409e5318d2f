package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// socksProxy is a SOCKS5 server on 127.0.0.1 that connects to one target, whatever it is
// asked for. It is as much of RFC 1928 and RFC 1929 as a client needs.
type socksProxy struct {
	address  string
	user     string      // and password, with a colon between; empty: everybody may use it
	target   string      // where it connects to
	answer   byte        // the reply to a request; 0: it connects
	requests chan string // what was asked for
}

func startProxy(t *testing.T, p socksProxy) *socksProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address, p.requests = l.Addr().String(), make(chan string, 10)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(nc)
		}
	}()
	return &p
}

func (p *socksProxy) serve(nc net.Conn) {
	defer nc.Close()
	take := func(n int) []byte {
		b := make([]byte, n)
		io.ReadFull(nc, b)
		return b
	}
	methods := string(take(int(take(2)[1])))
	switch {
	case p.user == "":
		nc.Write([]byte{5, 0})
	case !strings.Contains(methods, "\x02"):
		nc.Write([]byte{5, 0xFF})
		return
	default:
		nc.Write([]byte{5, 2})
		user := string(take(int(take(2)[1])))
		password := string(take(int(take(1)[0])))
		if user+":"+password != p.user {
			nc.Write([]byte{1, 1})
			return
		}
		nc.Write([]byte{1, 0})
	}
	var host string
	switch take(4)[3] {
	case 1:
		host = net.IP(take(4)).String()
	case 3:
		host = string(take(int(take(1)[0])))
	case 4:
		host = net.IP(take(16)).String()
	}
	port := take(2)
	p.requests <- net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1])))
	answer := []byte{5, p.answer, 0, 1, 0, 0, 0, 0, 0, 0}
	if p.answer != 0 {
		nc.Write(answer)
		return
	}
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer far.Close()
	nc.Write(answer)
	go func() {
		io.Copy(far, nc)
		far.Close()
	}()
	io.Copy(nc, far)
}

// TestProxy publishes through a SOCKS5 proxy, which looks the host up.
func TestProxy(t *testing.T) {
	isolate(t)
	b := startBroker(t, "colibri", "broker", "-p", "0")
	target := b.address()
	open := startProxy(t, socksProxy{target: target})
	private := startProxy(t, socksProxy{target: target, user: "u@x:geheim"})
	refusing := startProxy(t, socksProxy{answer: 5})
	strict := startProxy(t, socksProxy{answer: 2})
	broken := startProxy(t, socksProxy{answer: 1})
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	// The first lines and the exit codes are those of Mosquitto's programs.
	const failed, notAllowed = "Error: Proxy error.\n", "Error: Authorisation failed.\n"
	for _, c := range []struct {
		name, proxy string
		asked       string // of proxy
		of          *socksProxy
		exit        int
		stderr      string
	}{
		{"for everybody", open.address, "broker.invalid:1999", open, exitOK, ""},
		{"user not needed", "u:p@" + open.address, "broker.invalid:1999", open, exitOK, ""},
		{"with a password", "u%40x:geheim@" + private.address, "broker.invalid:1999", private, exitOK, ""},
		{"wrong password", "u%40x:geheimer@" + private.address, "", nil, exitProxy, failed +
			"The proxy " + private.address + " did not connect to broker.invalid:1999: username/password authentication failed. Check --proxy.\n"},
		{"no password", private.address, "", nil, exitNotAllowed, notAllowed +
			"The proxy " + private.address + " did not connect to broker.invalid:1999: no acceptable authentication methods. Check --proxy.\n"},
		{"forbidden", strict.address, "broker.invalid:1999", strict, exitNotAllowed, notAllowed +
			"The proxy " + strict.address + " did not connect to broker.invalid:1999: connection not allowed by ruleset. Check --proxy.\n"},
		{"refused", refusing.address, "broker.invalid:1999", refusing, exitNoRoute, "Error: The client is not currently connected.\n" +
			"The proxy " + refusing.address + " did not connect to broker.invalid:1999: connection refused. Check -h and -p.\n"},
		{"broken", broken.address, "broker.invalid:1999", broken, exitProxy, failed +
			"The proxy " + broken.address + " did not connect to broker.invalid:1999: general SOCKS server failure. Check --proxy.\n"},
		{"not there", gone.Addr().String(), "", nil, exitUsage, "Error: Connection refused\n" +
			"The proxy " + gone.Addr().String() + " cannot be reached: dial tcp " + gone.Addr().String() + ": connect: connection refused. Check --proxy.\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			exit, _, stderr := call(t, "colibri", "pub", "-h", "broker.invalid", "-p", "1999", "--proxy", "socks5h://"+c.proxy, "-t", "a", "-m", "b", "-q", "1")
			if exit != c.exit || stderr != c.stderr {
				t.Errorf("got exit %d, %q, want %d, %q", exit, stderr, c.exit, c.stderr)
			}
			if c.of != nil {
				if got := <-c.of.requests; got != c.asked {
					t.Errorf("the proxy was asked for %s, want %s", got, c.asked)
				}
			}
		})
	}
	b.end()

	// Every answer of RFC 1928, and one more, has the exit code of Mosquitto's programs.
	for answer, want := range map[byte]int{1: exitProxy, 2: exitNotAllowed, 3: exitNoRoute, 4: exitNoRoute, 5: exitNoRoute, 6: exitProxy, 7: exitProxy, 8: exitProxy, 9: exitProxy} {
		p := startProxy(t, socksProxy{answer: answer})
		if exit, _, _ := call(t, "colibri", "pub", "-h", "broker.invalid", "--proxy", "socks5h://"+p.address, "-t", "a", "-m", "b"); exit != want {
			t.Errorf("answer %d: got exit %d, want %d", answer, exit, want)
		}
	}
}

// srvRecords is a resolver that knows one domain, or fails.
type srvRecords struct {
	domain  string
	records []*net.SRV
}

func (r srvRecords) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if asked := "_" + service + "._" + proto + "." + name; asked != "_mqtt._tcp."+r.domain {
		return "", nil, &net.DNSError{Err: "no such host", Name: asked, IsNotFound: true}
	}
	return "", r.records, nil
}

// TestServersOfDomain connects with -S: to the first server that can be reached.
func TestServersOfDomain(t *testing.T) {
	listen := func() (net.Listener, *net.SRV) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l, &net.SRV{Target: "127.0.0.1.", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	}
	first, down := listen()
	first.Close()
	second, up := listen()
	defer second.Close()

	reach := func(domain string, records ...*net.SRV) (*options, net.Conn, error) {
		o, err := parseOptions(pub, "colibri pub", strings.Fields("-t a -m b -S -h "+domain))
		if err != nil {
			t.Fatal(err)
		}
		o.resolver = srvRecords{"here.invalid", records}
		nc, err := o.dial(t.Context(), "")
		return o, nc, err
	}
	_, nc, err := reach("here.invalid", down, up)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := nc.RemoteAddr().String(), second.Addr().String(); got != want {
		t.Errorf("connected to %s, want %s", got, want)
	}
	nc.Close()

	o, _, err := reach("here.invalid", down)
	if got, want := o.dialHint(err), "None of the servers that the SRV records of '_mqtt._tcp.here.invalid' name could be reached."; got != want {
		t.Errorf("all down: got %q, want %q", got, want)
	}
	o, _, err = reach("elsewhere.invalid")
	want := "No server is named by SRV records of '_mqtt._tcp.elsewhere.invalid': check -h, or leave -S out and name the server with -h and -p."
	if got := o.dialHint(err); got != want {
		t.Errorf("no records: got %q, want %q", got, want)
	}
	if dial := new(dialError); !errors.As(err, &dial) || connectFailure(dial.err) != "Unable to connect (Lookup error.)." {
		t.Errorf("no records: got %v", err)
	}

	// A server takes part in the domain through a proxy, too.
	proxy := startProxy(t, socksProxy{target: second.Addr().String()})
	if err := setProxy(o, "socks5h://"+proxy.address); err != nil {
		t.Fatal(err)
	}
	o.resolver = srvRecords{o.host, []*net.SRV{{Target: "far.invalid.", Port: 7}}}
	if nc, err = o.dial(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if got := <-proxy.requests; got != "far.invalid:7" {
		t.Errorf("the proxy was asked for %s, want far.invalid:7", got)
	}
	nc.Close()
}
