package cli

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestQUICCommands runs the commands against a listener for QUIC.
func TestQUICCommands(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	b := startConfigured(t, "allow_anonymous true\n"+f.listener("protocol quic\nmax_connections 2\n"))
	address := b.address()
	b.until(`open to anyone on this machine, without a password, by QUIC, with TLS\n`)
	_, port, _ := net.SplitHostPort(address)
	for _, message := range []string{"first", "second", "third"} { // places are given back
		exit, stdout, stderr := call(t, "colibri", "pub", "-L", "quic://127.0.0.1:"+port+"/kept", "--cafile", f.cafile, "-m", message, "-r", "-q", "1")
		if exit != exitOK || stdout+stderr != "" {
			t.Errorf("pub: got exit %d, %q, %q", exit, stdout, stderr)
		}
	}
	exit, stdout, stderr := call(t, "colibri", "sub", "-L", "quic://127.0.0.1:"+port+"/kept", "--cafile", f.cafile, "-C", "1", "-W", "10")
	if exit != exitOK || stdout != "third\n" || stderr != "" {
		t.Errorf("sub: got exit %d, %q, %q", exit, stdout, stderr)
	}
	b.until(`New connection from 127\.0\.0\.1:\d+ on port ` + port)
	if exit, _, stderr := call(t, "colibri", "pub", "-L", "quic://127.0.0.1:"+port+"/a", "--tls-use-os-certs", "-m", "x"); exit != exitTLS || !strings.Contains(stderr, "CA") {
		t.Errorf("a CA that is not known: got exit %d and %q", exit, stderr)
	}
	if exit, _, stderr := call(t, "colibri", "pub", "-L", "quic://127.0.0.1:"+port+"/a", "--cafile", f.cafile, "--ws", "-m", "x"); exit != exitUsage || !strings.Contains(stderr, "cannot be combined") {
		t.Errorf("with --ws: got exit %d and %q", exit, stderr)
	}
	b.end()
}

// TestProxyTLS sends a header of the PROXY protocol in front of TLS.
func TestProxyTLS(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	b := startConfigured(t, "allow_anonymous true\n"+f.listener("enable_proxy_protocol 1\n"))
	nc, err := net.Dial("tcp", b.address())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(nc, "PROXY TCP4 192.0.2.1 192.0.2.2 40000 8883\r\n")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(f.authority.CertPEM)
	c := newRawClient(t, tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "localhost"}), colibri.V5)
	if code := c.connect(packet.Connect{ClientID: "pump"}); code != colibri.Success {
		t.Errorf("got %v", code)
	}
	b.until(`New client connected from 192\.0\.2\.1:40000 as pump`)
	b.end()
}
