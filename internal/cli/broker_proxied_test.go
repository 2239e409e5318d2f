package cli

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"regexp"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// proxyHeader returns a header of version 2 from 192.0.2.1:40000, with a record about TLS: its
// flags, the result of the verification, and the Common Name; no flags for none.
func proxyHeader(flags byte, verify uint32, name string) string {
	body := "\xC0\x00\x02\x01\xC0\x00\x02\x02\x9C\x40\x07\x5B"
	record := func(kind byte, value string) string {
		return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
	}
	if flags != 0 {
		about := string(binary.BigEndian.AppendUint32([]byte{flags}, verify)) + record(0x21, "TLSv1.3")
		if name != "" {
			about += record(0x22, name)
		}
		body += record(0x20, about)
	}
	return "\r\n\r\n\x00\r\nQUIT\n\x21\x11" + string(binary.BigEndian.AppendUint16(nil, uint16(len(body)))) + body
}

// TestBrokerProxiedCertificate shows that the Common Name which a proxy tells becomes the User Name,
// as that of a certificate of a client itself, and what is refused.
func TestBrokerProxiedCertificate(t *testing.T) {
	isolate(t)
	const (
		begin    = "persistence false\nallow_anonymous false\nlistener 0 127.0.0.1\nenable_proxy_protocol 2\ncolibri_proxy_from 127.0.0.0/8\nuse_identity_as_username true\n"
		required = begin + "require_certificate true\n"
		optional = begin + "allow_anonymous true\ncolibri_optional_certificate true\n"
		closed   = "A connection from 127.0.0.1:[0-9]+ was closed: PROXY header: "
		none     = closed + "it does not say that the client 192.0.2.1:40000 has shown the proxy a certificate, and require_certificate wants that: give the client one, or have the proxy tell of it[.]"
		wrong    = closed + "it says that the client 192.0.2.1:40000 has shown a certificate which the proxy has not found right: give the client another one[.]"
	)
	for _, c := range []struct {
		name, config, header string
		connect              packet.Connect
		code                 colibri.ReasonCode
		log                  string // of a connection that is closed without an answer when it begins with closed
	}{
		{"required", required, proxyHeader(7, 0, "pump-7"), packet.Connect{}, colibri.Success, `as pump \(p5, c1, k0, u'pump-7'\)`},
		{"of a resumed session", required, proxyHeader(5, 0, "pump-7"), packet.Connect{}, colibri.Success, `u'pump-7'`},
		{"another User Name", required, proxyHeader(7, 0, "pump-7"), packet.Connect{HasUserName: true, UserName: "admin", HasPassword: true, Password: []byte("x")}, colibri.Success, `u'pump-7'`},
		{"without a name", required, proxyHeader(7, 0, ""), packet.Connect{HasUserName: true, UserName: "admin"}, colibri.BadUserNameOrPassword, `refused: CONNECT: the proxy tells no Common Name of the client's certificate to take the User Name from`},
		{"no certificate", required, proxyHeader(1, 0, "pump-7"), packet.Connect{}, 0, none},
		{"no TLS", required, proxyHeader(0, 0, ""), packet.Connect{}, 0, none},
		{"not TLS, whatever else it says", required, proxyHeader(6, 0, "pump-7"), packet.Connect{}, 0, none},
		{"not verified", required, proxyHeader(7, 19, "pump-7"), packet.Connect{}, 0, wrong},
		{"optional", optional, proxyHeader(7, 0, "pump-7"), packet.Connect{}, colibri.Success, `u'pump-7'`},
		{"optional, and none", optional, proxyHeader(1, 0, "pump-7"), packet.Connect{}, colibri.Success, `as pump \(p5, c1, k0\)`},
		{"optional, and wrong", optional, proxyHeader(7, 19, "pump-7"), packet.Connect{}, 0, wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := startConfigured(t, c.config)
			nc := dialRaw(t, "tcp", b.address(), colibri.V5)
			io.WriteString(nc, c.header)
			if regexp.MustCompile(`^A connection`).MatchString(c.log) {
				if got := nc.receive(); got != nil {
					t.Errorf("got %v, want the end", got)
				}
			} else {
				c.connect.ClientID = "pump"
				if got := nc.connect(c.connect); got != c.code {
					t.Errorf("got %v, want %v", got, c.code)
				}
			}
			b.until(c.log)
			b.end()
		})
	}
}

// TestBrokerProxiedCertificateBelow shows that what a proxy tells is found below WebSocket, also of
// connections that are counted, and that it has no meaning where the client has TLS with us.
func TestBrokerProxiedCertificateBelow(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	const begin = "persistence false\ncolibri_max_connections_per_address 9\n"
	const names = "enable_proxy_protocol 2\nrequire_certificate true\nuse_identity_as_username true\n"
	for _, c := range []struct {
		name, config string
		secure       bool
		webSocket    bool
		user         string
	}{
		{"TCP", "listener 0 127.0.0.1\n" + names, false, false, "pump-7"},
		{"WebSocket", "listener 0 127.0.0.1\nprotocol websockets\n" + names, false, true, "pump-7"},
		{"TLS", f.listener("cafile " + f.cafile + "\n" + names), true, false, "sensor"},
		{"WSS", f.listener("protocol websockets\ncafile " + f.cafile + "\n" + names), true, true, "sensor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := startConfigured(t, begin+c.config)
			nc := dialFrom(t, "127.0.0.1", b.address())
			io.WriteString(nc, proxyHeader(7, 0, "pump-7"))
			if c.secure {
				pair, err := tls.LoadX509KeyPair(f.clientCert, f.clientKey)
				if err != nil {
					t.Fatal(err)
				}
				nc = tls.Client(nc, &tls.Config{RootCAs: f.authority.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{pair}})
			}
			if c.webSocket {
				opened, err := transport.OpenWebSocket(t.Context(), nc, "ws://localhost/mqtt")
				if err != nil {
					t.Fatal(err)
				}
				nc = opened
			}
			if got := newRawClient(t, nc, colibri.V5).connect(packet.Connect{ClientID: "pump"}); got != colibri.Success {
				t.Errorf("got %v", got)
			}
			b.until(`from 192\.0\.2\.1:40000 as pump \(p5, c1, k0, u'` + c.user + `'\)`)
			b.end()
		})
	}
}
