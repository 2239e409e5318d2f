package directory

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// entry is one user of a directory.
type entry struct {
	dn, uid, password string
	hidden            bool // its uid, from who searches
}

// server is a small LDAP server: it knows simple binds, searches for an equal uid, and StartTLS.
type server struct {
	net.Listener
	tls     *tls.Config
	entries []entry
	ended   chan struct{} // receives when a connection has ended

	mu          sync.Mutex
	connections []net.Conn
	binds       []string // names that were bound, in order
	code        uint16   // of all answers, when it is not 0
	mute        bool     // it takes requests and answers none
	tlsRefused  bool
}

// startServer serves until the end of the test.
func startServer(t *testing.T, implicit bool, entries ...entry) *server {
	t.Helper()
	https := httptest.NewUnstartedServer(nil) // has a certificate for 127.0.0.1
	https.StartTLS()
	t.Cleanup(https.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: listener, tls: &tls.Config{Certificates: https.TLS.Certificates}, entries: entries, ended: make(chan struct{}, 100)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.connections = append(s.connections, nc)
			s.mu.Unlock()
			serving.Go(func() {
				if implicit {
					nc = tls.Server(nc, s.tls)
				}
				s.serve(nc)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.drop()
		serving.Wait()
	})
	return s
}

// drop closes all connections.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, nc := range s.connections {
		nc.Close()
	}
}

// set changes the server.
func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// seen returns the names that were bound since, and how many connections there were.
func (s *server) seen() (binds string, connections int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	binds = strings.Join(s.binds, "; ")
	s.binds = nil
	return binds, len(s.connections)
}

func (s *server) serve(nc net.Conn) {
	defer func() { nc.Close(); s.ended <- struct{}{} }()
	for {
		p, err := ber.ReadPacket(nc)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, request := p.Children[0].Value.(int64), p.Children[1]
		s.mu.Lock()
		code, mute, tlsRefused := s.code, s.mute, s.tlsRefused
		s.mu.Unlock()
		if mute {
			continue
		}
		switch request.Tag {
		case ldap.ApplicationBindRequest:
			dn, password := request.Children[1].Value.(string), request.Children[2].Data.String()
			s.mu.Lock()
			s.binds = append(s.binds, dn)
			s.mu.Unlock()
			if code == 0 && (dn != "" || password != "") {
				code = s.bind(dn, password)
			}
			s.answer(nc, id, ldap.ApplicationBindResponse, code, "you sent "+dn+" and "+password)
		case ldap.ApplicationSearchRequest:
			filter, _ := ldap.DecompileFilter(request.Children[6])
			for _, e := range s.entries {
				if code == 0 && strings.EqualFold(filter, "(uid="+ldap.EscapeFilter(e.uid)+")") {
					nc.Write(found(id, e))
				}
			}
			s.answer(nc, id, ldap.ApplicationSearchResultDone, code, "")
		case ldap.ApplicationExtendedRequest:
			if tlsRefused {
				s.answer(nc, id, ldap.ApplicationExtendedResponse, ldap.LDAPResultUnavailable, "")
				continue
			}
			s.answer(nc, id, ldap.ApplicationExtendedResponse, 0, "")
			nc = tls.Server(nc, s.tls)
		default:
			return
		}
	}
}

func (s *server) bind(dn, password string) uint16 {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return ldap.LDAPResultInvalidDNSyntax
	}
	for _, e := range s.entries {
		if own, _ := ldap.ParseDN(e.dn); own.EqualFold(parsed) && (e.password == password || password == "") { // as many servers do
			return 0
		}
	}
	return ldap.LDAPResultInvalidCredentials
}

// message returns an LDAPMessage.
func message(id int64, op *ber.Packet) *ber.Packet {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p
}

func octets(text string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, "")
}

func (s *server) answer(nc net.Conn, id int64, tag ber.Tag, code uint16, text string) {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	op.AppendChild(octets(""))
	op.AppendChild(octets(text))
	nc.Write(message(id, op).Bytes())
}

// found returns a search result with the uid of e.
func found(id int64, e entry) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(octets(e.dn))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for name, value := range map[string]string{"uid": e.uid, "cn": e.uid + "-canonical"} {
		if name == "uid" && e.hidden {
			continue
		}
		attribute := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		attribute.AppendChild(octets(name))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		values.AppendChild(octets(value))
		attribute.AppendChild(values)
		list.AppendChild(attribute)
	}
	op.AppendChild(list)
	return message(id, op).Bytes()
}
