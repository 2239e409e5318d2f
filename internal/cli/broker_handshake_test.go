package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// failureLog is a log that is told of handshakes that fail.
type failureLog struct {
	*testing.T
	out transcript
	log *brokerLog
	at  int // what was looked at
}

func newFailureLog(t *testing.T) *failureLog {
	f := &failureLog{T: t}
	settings := config.Default().Log
	settings.Timestamp = false
	var err error
	if f.log, err = newBrokerLog(settings, nil, io.Discard, &f.out); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *failureLog) fail(from string, n int) {
	remote := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
	for i := range n {
		f.log.event(broker.HandshakeFailed{Remote: remote, Handshake: broker.HandshakeTLS, Err: fmt.Errorf("it is number %d", i)})
	}
}

// lines returns the lines that are new.
func (f *failureLog) lines() []string {
	synctest.Wait()
	text, _ := f.out.now()
	fresh := strings.TrimSuffix(text[f.at:], "\n")
	f.at = len(text)
	if fresh == "" {
		return nil
	}
	return strings.Split(fresh, "\n")
}

// TestFailures shows how often one address, and many, are told of: a scanner cannot fill the log,
// nothing is left out without a word, and others still have their lines.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailureLog(t)
		f.fail("192.0.2.1:7", 1000)
		got := f.lines()
		if len(got) != failureAddressLines || got[0] != "A connection from 192.0.2.1:7 was closed: it is number 0." {
			t.Errorf("one address: got %d lines, want %d; the first is %q", len(got), failureAddressLines, got[0])
		}
		f.fail("192.0.2.2:7", 1)
		if got := f.lines(); len(got) != 1 || got[0] != "A connection from 192.0.2.2:7 was closed: it is number 0; 950 more were left out before." {
			t.Errorf("another address: got %q", got)
		}
		f.fail("192.0.2.1:8", 3)
		time.Sleep(failurePause)
		if got := f.lines(); len(got) != 1 || got[0] != "A connection from 192.0.2.1:8 was closed: it is number 2; 2 more were left out before." {
			t.Errorf("after a pause: got %q", got)
		}
		time.Sleep(time.Hour)
		if got := f.lines(); got != nil {
			t.Errorf("later: got %q", got)
		}

		for i := range 10 * failureAddresses { // from everywhere
			f.fail(fmt.Sprintf("198.51.%d.%d:7", i/250, i%250), 1)
		}
		if got := f.lines(); len(got) != failureLines {
			t.Errorf("many addresses: got %d lines, want %d", len(got), failureLines)
		}
		if got := len(f.log.failed.from); got > failureAddresses {
			t.Errorf("got %d addresses in memory, want %d at most", got, failureAddresses)
		}
		for range 60 { // for a minute
			f.fail("203.0.113.1:7", 500)
			time.Sleep(time.Second)
		}
		if got := f.lines(); len(got) > 90 {
			t.Errorf("one that goes on for a minute: got %d lines", len(got))
		}
		f.fail("203.0.113.1:7", 500)
		f.log.close()
		if got := f.lines(); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "more were left out before.") {
			t.Errorf("at the end: got %q, want what was left out", got)
		}
		f.log.event(broker.HandshakeFailed{Remote: &net.TCPAddr{}, Err: errors.New("too late")})
	})
}

// TestFailuresAreCounted has each handshake fail, and reads $SYS.
func TestFailuresAreCounted(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	control := filepath.Join(shortDirectory(t), "c")
	b := startConfigured(t, "persistence false\nallow_anonymous true\nsys_interval 1\ncolibri_control "+control+"\nlistener 0 127.0.0.1\n"+f.listener("")+
		"listener 0 127.0.0.1\nprotocol websockets\n"+"listener 0 127.0.0.1\nenable_proxy_protocol 1\ncolibri_proxy_from 127.0.0.1\n"+f.listener("protocol quic\n"))
	const at = `listening on  127\.0\.0\.1:(\d+) .*\n`
	ports := b.until(`.*` + at + `.*` + at + `.*` + at + `.*` + at + `.*` + at)[1:]
	for _, port := range ports[1:4] {
		nc := dialFrom(t, "127.0.0.1", "127.0.0.1:"+port)
		io.WriteString(nc, "\x00\x01 rubbish\n")
		b.until(`A connection from ` + nc.LocalAddr().String() + ` was closed: `)
	}
	call(t, "colibri", "pub", "-L", "quic://127.0.0.1:"+ports[4]+"/a", "--tls-use-os-certs", "-m", "x")
	b.until(`A connection from 127\.0\.0\.1:\d+ was closed: the client refuses this broker's certificate`)
	for _, name := range []string{"tls", "websocket", "proxy-header", "quic"} {
		exit, stdout, stderr := call(t, "colibri", "sub", "-p", ports[0], "-t", "$SYS/broker/handshake/failed/"+name, "-C", "1", "-W", "10")
		if exit != exitOK || stdout != "1\n" {
			t.Errorf("%s: got exit %d, %q, %q, want that 1 has failed", name, exit, stdout, stderr)
		}
	}
	if exit, stdout, stderr := call(t, "colibri", "top", "--control", control, "--once", "--every", "0.1"); exit != exitOK ||
		!strings.Contains(stdout, "; failed handshakes: PROXY header 1, QUIC 1, TLS 1, WebSocket 1\n") {
		t.Errorf("top: got exit %d, %s%s", exit, stdout, stderr)
	}
	b.end()
}
