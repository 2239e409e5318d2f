package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/certs"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// secureListener is the TLS of a listener of the configuration.
type secureListener struct {
	listener *config.Listener
	server   *certs.Server
}

// name is how the log calls l.
func (l *secureListener) name() string { return "port " + strconv.Itoa(l.listener.Port) }

// secureListeners reads the certificates of all listeners of c. keyLog may be nil. An error
// says where in the configuration the file is named.
func secureListeners(c *config.Config, keyLog io.Writer) (all []*secureListener, err error) {
	for i := range c.Listeners {
		l := &c.Listeners[i]
		t := &l.TLS
		if !t.On() {
			continue
		}
		o := certs.ServerOptions{CertFile: t.CertFile, KeyFile: t.KeyFile, CAFile: t.CAFile, CAPath: t.CAPath, CRLFile: t.CRLFile,
			Protocols: []string{certs.ALPN}, KeyLog: keyLog}
		if l.WebSocket {
			o.Protocols = []string{"http/1.1"} // what browsers ask for
		}
		switch {
		case t.RequireCertificate:
			o.Asked = certs.RequiredCertificate
		case t.OptionalCertificate:
			o.Asked = certs.OptionalCertificate
		}
		if o.MinVersion, err = certs.Version(t.Version); err == nil {
			o.Ciphers, err = certs.Ciphers(t.Ciphers)
		}
		var server *certs.Server
		if err == nil {
			server, err = certs.NewServer(o)
		}
		if err != nil {
			return nil, &config.Error{File: t.File, Line: t.Line, Text: err.Error()}
		}
		all = append(all, &secureListener{l, server})
	}
	return all, nil
}

// openKeyLog opens the file of --tls-keylog; nil without one.
func openKeyLog(path string) (io.Writer, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--tls-keylog: the file cannot be written: %w", err)
	}
	return file, nil // open until the program ends
}

// secureOf returns the TLS of l, nil when it has none.
func (s *brokerServer) secureOf(l *config.Listener) *certs.Server {
	for _, one := range s.secure {
		if one.listener == l {
			return one.server
		}
	}
	return nil
}

// reloadCertificates has the files of all listeners read again when they change.
func (s *brokerServer) reloadCertificates() {
	for _, l := range s.secure {
		s.reloads = append(s.reloads, reloaded{
			what:  "the certificates of " + l.name(),
			files: l.server.Files(),
			load: func() error {
				if err := l.server.Load(); err != nil {
					return err
				}
				s.tellExpiry(l)
				return nil
			},
		})
	}
}

// tellExpiry writes what is wrong with the certificates of l, or will be soon, into the log,
// and publishes the days that are left.
func (s *brokerServer) tellExpiry(l *secureListener) {
	for _, text := range l.server.Warnings() {
		s.log.printf(logWarning, "Warning: %s: %s.", l.name(), escaped(text, 1<<10))
	}
	if publish := s.publishSys.Load(); publish != nil {
		(*publish)(expiryTopic(l), strconv.Itoa(l.server.DaysLeft()))
	}
}

// expiryTopic is where the days are published that are left of a certificate.
func expiryTopic(l *secureListener) string {
	return fmt.Sprintf("$SYS/broker/listeners/%d/certificate/days", l.listener.Port)
}

// expiryInterval is how often certificates are looked at.
const expiryInterval = 24 * time.Hour

// watchExpiry looks at the certificates now and every day, until ended is closed. Where $SYS
// is published, b gets the days that are left.
func (s *brokerServer) watchExpiry(b *broker.Broker, ended <-chan struct{}) {
	if len(s.secure) == 0 {
		return
	}
	if s.config.SysInterval > 0 {
		publish := func(topic, text string) {
			b.Publish(&colibri.Message{Topic: topic, Payload: []byte(text), QoS: colibri.ExactlyOnce, Retain: true})
		}
		s.publishSys.Store(&publish)
	}
	tell := func() {
		for _, l := range s.secure {
			s.tellExpiry(l)
		}
	}
	tell()
	go func() {
		daily := time.NewTicker(expiryInterval)
		defer daily.Stop()
		for {
			select {
			case <-daily.C:
				tell()
			case <-ended:
				return
			}
		}
	}()
}

// certificateChecker returns who takes the User Name from certificates of l; nil when nobody
// does.
func certificateChecker(l *config.Listener) auth.Checker {
	t := &l.TLS
	if !t.IdentityAsUserName && !t.SubjectAsUserName {
		return nil
	}
	return &auth.Certificate{Subject: !t.IdentityAsUserName, Optional: !t.RequireCertificate}
}
